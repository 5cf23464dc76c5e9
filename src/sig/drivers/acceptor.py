"""Takes links from a listening socket, on the loop's thread.

Not asyncio's own server: closed, it forgets whoever it has accepted and not yet shown us, who waits for
a handshake; it takes a thousand at once where descriptors may be few, and prints a traceback where none are left.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Final

from sig.log import logger

# Links that the system keeps for us until we take them, and how many we take in one turn of the loop: few enough that
# the descriptors in reserve last until the first of them can be turned away.
_BACKLOG: Final = 1024
_AT_ONCE: Final = 2
# How long to wait for descriptors, or memory, where there are none left.
_PAUSE_S: Final = 1.0
_NOTHING_LEFT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Begins at once; call it on the loop.

    Args:
        sock: bound; belongs to the acceptor from here on.
        factory: makes the protocol of each link.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._factory = factory
        self._opening: dict[asyncio.Task[Any], None] = {}  # a task that nobody holds may vanish
        self._again: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(_BACKLOG)
        self._begin()

    def close(self) -> None:
        """Let nobody in any more. Whoever has been accepted is shown to its protocol all the same."""
        if self._again is not None:
            self._again.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _begin(self) -> None:
        self._again = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NOTHING_LEFT:
                    raise
                logger.warning(f"cannot let anybody in for {_PAUSE_S:g} s: {error.strerror}")
                self._loop.remove_reader(self._sock)
                self._again = self._loop.call_later(_PAUSE_S, self._begin)
                return
            sock.setblocking(False)
            task = self._loop.create_task(self._open(sock))
            self._opening[task] = None
            task.add_done_callback(self._opening.pop)

    async def _open(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, sock)
        except OSError:
            sock.close()  # it has gone again
        except BaseException:
            sock.close()
            raise
