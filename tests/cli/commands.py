"""Runs the real command: in a process of its own, at a pipe or at a terminal, or in this process."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_S = 50


def environment(url: str | None = None, **more: str) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name not in ("SIG_URL", "NO_COLOR", "FORCE_COLOR")}
    if url is not None:
        found["SIG_URL"] = url
    return found | more


def command(*words: str, url: str | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run `sig WORDS` to its end, with `text` at its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "sig", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(url),
    )


@contextmanager
def running(*words: str, url: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """`sig WORDS` while the block runs, in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sig", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(url),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def at_terminal(*words: str, url: str | None = None, ctrl_c_at: str | None = None, code: int = 0) -> str:
    """What a person sees of `sig WORDS`, on a pseudo terminal; it must end with that code.

    The person presses Ctrl-C when `ctrl_c_at` is to be seen.
    """
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "sig", *words],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environment(url, TERM="xterm", COLUMNS="120"),
        )
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as screen:
        seen = b""
        try:
            while part := screen.read(65536):
                seen += part
                if ctrl_c_at is not None and ctrl_c_at.encode() in seen:
                    process.send_signal(signal.SIGINT)
                    ctrl_c_at = None
        except OSError:
            pass  # how a pseudo terminal says that everybody has gone
        assert process.wait(LIMIT_S) == code, seen.decode(errors="replace")
    return seen.decode(errors="replace")  # what is drawn may be cut short by Ctrl-C, within a letter


def only_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]
