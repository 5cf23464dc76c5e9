"""A browser without a window, driven over its debugging pipe: JSON texts, each ended by a zero byte."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",  # which it cannot make for root, nor in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP lab.example 127.0.0.1",  # a host that is not taken as this machine
)


class Browser:
    """Made by `running`."""

    def __init__(self, to: int, answers: int) -> None:
        self._to = to
        self._answers = answers
        self._read = b""
        self._number = 0

    def call(self, method: str, session: str | None = None, **params: object) -> Any:
        """One command of the DevTools protocol; events that come meanwhile are left out."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _message(self) -> Any:
        while b"\0" not in self._read:
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser has ended"
            self._read += data
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    @contextmanager
    def page(self, url: str) -> Iterator[Page]:
        """A tab with this page, once it has been loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        try:
            session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            page = Page(self, session)
            page.go(url)
            yield page
        finally:
            self.call("Target.closeTarget", targetId=target)


class Page:
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def go(self, url: str) -> None:
        self._browser.call("Page.enable", self._session)
        assert "errorText" not in self._browser.call("Page.navigate", self._session, url=url)
        while self._browser._message().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """What the body of an `async` function returns. Raises `AssertionError` with what it throws."""
        answer = self._browser.call(
            "Runtime.evaluate",
            self._session,
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description", answer))
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true. It is looked at in each frame that the page draws."""
        self.run(f"while (!({condition})) await new Promise((next) => setTimeout(next, 10));")


@contextmanager
def running() -> Iterator[Browser]:
    assert EXECUTABLE is not None
    commands, to_write = os.pipe()
    answers_read, answers = os.pipe()
    # It reads commands from descriptor 3 and writes answers to 4, which the shell puts there.
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (commands, answers)]
    as_three_and_four = f'exec "$@" 3</dev/fd/{theirs[0]} 4>/dev/fd/{theirs[1]}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["sh", "-c", as_three_and_four, "sh", EXECUTABLE, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (commands, answers, *theirs):
            os.close(fd)
        try:
            yield Browser(to_write, answers_read)
        finally:
            os.close(to_write)  # then it ends
            os.close(answers_read)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
