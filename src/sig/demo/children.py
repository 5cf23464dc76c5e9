"""Processes that never outlive this one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# A child that is told to end has a link to close.
_END_S = 5.0

Child = subprocess.Popen[bytes]


@contextmanager
def child(module: str, *arguments: str) -> Iterator[Child]:
    """`python -m MODULE ARGUMENTS` while the block runs; killed if it will not end when told.

    Should we be killed ourselves, our server goes with us, and the demo's senders end with their server.
    """
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
