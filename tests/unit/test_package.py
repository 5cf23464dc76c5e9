"""What `import sig` brings."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sig

PROGRAM = """
import sys, sig
assert not {"sig.aio", "sig.gui", "sig.testing"} & set(sys.modules)  # not paid for by who needs none of them
print(sig.aio.connect.__module__, sig.gui.tk.__module__, sig.testing.settle.__name__)
"""


def test_what_not_every_program_needs_is_there_when_it_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("sig.aio.network sig.gui settle\n", "")


def test_what_is_not_there_is_told_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'sig' has no attribute 'publish'"):
        sig.publish  # type: ignore[attr-defined]  # noqa: B018
