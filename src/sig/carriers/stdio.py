"""Standard input and output: a child process and its parent.

Either may be the server. `sig.connect("stdio:", command=[...])` starts a child that runs `sig.serve("stdio:")`;
`sig.serve("stdio:", command=[...])` one that runs `sig.connect("stdio:")`. The one without a command speaks through its
own standard input and output: what it prints from then on goes to standard error, so that it cannot come in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from sig.carriers.address import split
from sig.carriers.media import Medium, MediumClient, MediumServer
from sig.errors import ConnectFailed, InvalidArgument

_URL: Final = "stdio:"
_READ: Final = 256 * 1024
# How soon a write that nobody takes notices that it need not go on.
_LOOK_S: Final = 0.2
# How long a child that has been told of the end may take to end, before it is terminated; and then, killed.
_LEAVE_S: Final = 2.0


class _Pipes:
    """Implements `Medium` over two descriptors, which belong to it."""

    def __init__(self, read: int, write: int) -> None:
        self._read = read
        self._write = write
        self._closed = False
        os.set_blocking(read, False)
        os.set_blocking(write, False)

    def read(self, timeout: float) -> bytes | None:
        if not select.select([self._read], [], [], timeout)[0]:
            return None
        try:
            return os.read(self._read, _READ)
        except BlockingIOError:
            return None

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not self._closed:
            if select.select([], [self._write], [], _LOOK_S)[1]:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._write, rest) :]

    def close(self) -> None:
        self._closed = True
        os.close(self._write)
        os.close(self._read)


class _Child(_Pipes):
    """The pipes of a child of ours; closing them ends it."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        assert self._process.stdin is not None  # pipes were asked for
        assert self._process.stdout is not None
        super().__init__(os.dup(self._process.stdout.fileno()), os.dup(self._process.stdin.fileno()))
        self._process.stdout.close()
        self._process.stdin.close()

    def __str__(self) -> str:
        return f"child {self._process.pid}"

    def close(self) -> None:
        super().close()
        # It need not be waited for here: whoever closes has other things to do.
        threading.Thread(target=self._end, name="sig-child", daemon=True).start()

    def _end(self) -> None:
        for insist in (None, self._process.terminate, self._process.kill):
            if insist is not None:
                insist()
            try:
                self._process.wait(_LEAVE_S)
                return
            except subprocess.TimeoutExpired:
                continue


class _Own(_Pipes):
    """Our standard streams, which from here on are for this alone."""

    ended: Callable[[], object] | None = None

    def __init__(self) -> None:
        for stream in (sys.stdin, sys.stdout):
            if stream is None or stream.closed or stream.isatty():
                raise ConnectFailed(
                    "standard input and output lead to no other program: let one start this with command=[...]"
                )
        sys.stdout.flush()
        super().__init__(os.dup(0), os.dup(1))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def __str__(self) -> str:
        return "parent"

    def close(self) -> None:
        super().close()
        if self.ended is not None:
            self.ended()


class _Stdio:
    """What both carriers take.

    Args:
        command: starts a child, in which `"stdio:"` leads here; without one, ours are the standard streams.
        cwd: the child's directory.
        env: the child's environment, instead of ours.
    """

    options: ClassVar[tuple[str, ...]] = ("command", "cwd", "env")

    def __init__(
        self,
        url: str = _URL,
        *,
        command: Sequence[str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(_checked(url))  # type: ignore[call-arg]  # of the carrier that this goes with
        self._start = _starter(command, cwd, env)


class StdioServer(_Stdio, MediumServer):
    """Serves the one client at the other end of standard input and output, or a child process: `command=[...]`.

    A server that is reached through its standard streams alone closes when its parent has gone.
    """

    def begin(self, attach: Callable[[Medium, str], None]) -> None:
        medium = self._start()
        if isinstance(medium, _Own):
            medium.ended = partial(self._alone, asyncio.get_running_loop())
        attach(medium, str(medium))

    def _alone(self, loop: asyncio.AbstractEventLoop) -> None:
        """The parent has gone. Nobody else can come here, so a server that is nowhere else closes."""
        router: Any = self.router
        if router is None or len(router.urls) > 1:
            return
        if asyncio.iscoroutinefunction(router.close):
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(lambda: loop.create_task(router.close()))
        else:
            threading.Thread(target=router.close, name="sig-close", daemon=True).start()


class StdioClient(_Stdio, MediumClient):
    """Leads to the server at the other end of standard input and output, or to a child process: `command=[...]`.

    A link that is lost is lost for good: there is nobody at the other end any more.
    """

    reopens: ClassVar[bool] = False

    def open(self, timeout: float) -> Medium:
        return self._start()


def _checked(url: str) -> str:
    parts, _ = split(url, example=_URL)
    if parts.netloc or parts.path:
        raise InvalidArgument(f"{url!r} has more than a scheme: write {_URL!r}")
    return _URL


def _starter(command: Sequence[str] | None, cwd: Any, env: Mapping[str, str] | None) -> Callable[[], _Pipes]:
    if command is None:
        return _Own
    if isinstance(command, str) or not command:
        raise InvalidArgument(f"command must be a list of words, not {command!r}: write ['python', 'child.py']")

    def start() -> _Pipes:
        try:
            return _Child(list(command), cwd=cwd, env=None if env is None else dict(env))
        except OSError as error:
            raise ConnectFailed(f"cannot start {command[0]!r}: {error.strerror or error}") from error

    return start
