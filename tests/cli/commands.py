"""Runs the real command in a process of its own, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_S = 30


def environment(url: str | None = None, **more: str) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name != "SIG_URL"}
    if url is not None:
        found["SIG_URL"] = url
    return found | more


def command(*words: str, url: str | None = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `sig WORDS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sig", *words],
        input=text or "",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(url),
    )


@contextmanager
def running(*words: str, url: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """`sig WORDS` while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sig", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(url),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(LIMIT_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
