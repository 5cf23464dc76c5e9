"""The shell commands of the how-to about the command line work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import sig

from .pages import ROOT, blocks

# What a reader has on the path, and that a listener ends.
PRELUDE = f"""
set -e
sig() {{ "{sys.executable}" -m sig "$@"; }}
listen() {{ sig listen "$@" --seconds 0.2; }}
jq() {{ cat; }}
producer() {{ echo 1; echo 2; }}
"""
BLOCKS = [block for block in blocks("howto/command_line.md", "sh") if not block.startswith("sig serve")]


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == len(blocks("howto/command_line.md", "sh")) - 1 > 2


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_a_block(block: str) -> None:
    pytest.importorskip("cyclopts")
    heard: list[object] = []
    with sig.serve("tcp://127.0.0.1:0") as server:
        server.add_sender("lab/laser-1", requests={"set_power": lambda params: params["mw"], "read": lambda params: 40})
        server.listen(lambda info, data: heard.append(data), "cron/backup", "**")
        done = subprocess.run(
            ["bash", "-c", PRELUDE + block.replace("sig listen", "listen")],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "SIG_URL": server.urls[0]},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        server.flush()
    assert (done.returncode, done.stderr) == (0, "")
    assert "no answer" not in done.stdout
    if "trigger" in block:
        assert heard == [{"files": 812}, {"files": 812}, 1, 2]
