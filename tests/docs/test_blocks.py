"""The code in the documentation runs, and its links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .pages import DOCS, PAGES, README, ROOT, blocks

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_programs_of_the_readme_are_examples() -> None:
    shown = blocks(README, "python")
    programs = [(ROOT / "examples" / name).read_text(encoding="utf-8") for name in ("hello.py", "hello_tcp.py")]
    assert shown == [program.partition('"""\n\n')[2] for program in programs]
    assert blocks(README, "text") == [(ROOT / "examples/output/hello.txt").read_text(encoding="utf-8")]


def test_over_tcp_two_lines_change() -> None:
    here, there = (block.splitlines() for block in blocks(README, "python"))
    assert [line for line in here if line not in there] == ["with sig.Router() as router:"]
    assert len([line for line in there if line not in here]) == 2


@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_the_blocks_of_a_page_are_a_program(page: Path) -> None:
    program = "\n".join(blocks(page, "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_pages_with_python_are_found() -> None:
    assert DOCS / "howto/requests.md" in WITH_PYTHON


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_program_is_shown_that_nobody_runs(page: Path) -> None:
    """Python is in blocks that run, or included from an example; never in a block of another form."""
    for language in ("py", "pycon", "python3", "{code-block} python"):
        assert blocks(page, language) == []


@pytest.mark.parametrize("page", [README, *PAGES], ids=named)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_examples_say_what_they_are() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
