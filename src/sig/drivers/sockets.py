"""A client's link over a stream socket, read by a thread of its own.

The caller writes what the socket takes at once; the rest is left to the reading thread, which also minds the time.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections import deque
from typing import Final

from sig.drivers.links import LinkUser
from sig.errors import ConnectionLost, SigError

_READ: Final = 256 * 1024

# Two sockets need no epoll, whose descriptor a forked child would share with us.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.DefaultSelector)


class SocketLink:
    """Implements `Link` over a connected stream socket.

    Args:
        sock: connected; belongs to the link from here on.
        stall_s: a server that takes no byte for so long, while bytes wait, is given up.
    """

    def __init__(self, sock: socket.socket, stall_s: float) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._stall_s = stall_s
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        # What the system has not taken: parts of what was sent, not copied, since they may be large. Guarded by the
        # user's lock, as is all sending.
        self._left: deque[memoryview] = deque()
        self._until: float | None = None  # when it must be down; set by `finish`
        self._thread: threading.Thread | None = None

    @property
    def unsent(self) -> int:
        return sum(map(len, self._left))

    def start(self, user: LinkUser) -> None:
        thread = threading.Thread(target=self._run, args=(user,), name="sig-read", daemon=True)
        thread.start()
        self._thread = thread

    def send(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reading thread meets the same end, and tells it
        if sent < len(data):
            self._left.append(memoryview(data)[sent:])
            self._wake()

    def finish(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        self._until = until if self._until is None else min(until, self._until)
        self._wake()

    def join(self, timeout: float) -> None:
        if self._thread is None:
            self._close()  # it never began
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def abandon(self) -> None:
        for sock in (self._sock, self._wake_in, self._wake_out):
            if sock.fileno() >= 0:
                os.close(sock.detach())

    def _close(self) -> None:
        for sock in (self._sock, self._wake_in, self._wake_out):
            sock.close()

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\0")
        except OSError:
            pass  # full: it is awake already; closed: it is gone

    # On the reading thread

    def _run(self, user: LinkUser) -> None:
        error: SigError = ConnectionLost("the server closed the link")
        try:
            with _Selector() as selector:
                selector.register(self._sock, selectors.EVENT_READ)
                selector.register(self._wake_in, selectors.EVENT_READ)
                self._serve(user, selector)
        except _Stalled:
            error = ConnectionLost(f"the server has not taken anything for {self._stall_s:g} s")
        except OSError as trouble:
            error = ConnectionLost(f"the link to the server was lost: {trouble.strerror or trouble}")
        finally:
            user.lost(error)
            self._close()

    def _serve(self, user: LinkUser, selector: selectors.BaseSelector) -> None:
        """Read and write until the end. Raises `OSError`, and `_Stalled` when nothing leaves for too long."""
        buffer = memoryview(bytearray(_READ))
        writing = shut = False
        stalled = 0.0  # when waiting to write becomes too long
        while True:
            now, until = time.monotonic(), self._until
            if until is not None and now >= until:
                return
            if bool(self._left) is not writing:
                writing = not writing
                selector.modify(self._sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0))
                stalled = now + self._stall_s
            if until is not None and not writing and not shut:
                self._sock.shutdown(socket.SHUT_WR)
                shut = True
            if writing and now >= stalled:
                raise _Stalled
            wait = None if until is None else until - now
            if writing:
                wait = stalled - now if wait is None else min(wait, stalled - now)
            for key, ready in selector.select(wait):
                if key.fileobj is self._wake_in:
                    self._wake_in.recv(4096)
                    continue
                if ready & selectors.EVENT_READ:
                    try:
                        size = self._sock.recv_into(buffer)
                    except BlockingIOError:  # the system may announce what then is not there
                        continue
                    if not size:
                        return
                    user.received(buffer[:size])
                if ready & selectors.EVENT_WRITE and user.locked(self._write):
                    stalled = time.monotonic() + self._stall_s
                    if not self._left:
                        user.writable()

    def _write(self) -> bool:
        """Send some of what is left; true if anything went."""
        part = self._left[0]
        try:
            sent = self._sock.send(part)
        except BlockingIOError:
            return False
        if sent < len(part):
            self._left[0] = part[sent:]
        else:
            self._left.popleft()
        return True


class _Stalled(Exception):
    pass
