"""A client's link over a stream socket, read by a thread of its own, or by one that has nothing else to do.

The caller writes what the socket takes at once; the rest is left to whoever reads, who also minds the time. To wake
another thread costs as much as all the rest of an event's way through a client, so the one that calls listeners reads
by itself while it has nothing to call (`turn`). When it stays away for too long, the link's own thread takes over.
"""

from __future__ import annotations

import math
import os
import select
import selectors
import socket
import threading
import time
from collections import deque
from typing import Final, Protocol

from sig.drivers.links import READ_BYTES, LinkUser
from sig.errors import ConnectionLost, SigError

# How long what has arrived may wait for a thread that took its turn and is busy with what it read: at first, and where
# it has always come back soon. Two threads that read and call listeners by turns cost more than one that does both.
_AWAY_S: Final = 0.016
_AWAY_MOST_S: Final = 0.064
_SOON_S: Final = 0.2
# The same where somebody is known to wait for an answer.
_EXPECTED_S: Final = 0.002
# The link's own thread looks so often in vain, and then waits to be called.
_QUIET: Final = 25


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
        self._user: LinkUser
        # Who reads. Whoever does holds `_reading`; the rest is changed under it, or by the one thread that it concerns.
        self._reading = threading.Lock()
        self._lent = False  # the thread that takes turns reads, and nobody while it is away
        self._wanted = False  # it wants to
        self._granted = _Bell()
        self._turns = 0
        self._away: float | None = None  # since when it has been
        self._patience = _AWAY_S  # how long it may be
        self._call = _Bell()  # for our own thread, while it does not read
        self._relieve = False
        self._asleep = False
        self._over = False
        # Of reading, from one time to the next.
        self._eye: _Eye
        self._buffer = memoryview(b"")
        self._writing = False
        self._shut = False
        self._stalled = 0.0  # when waiting to write becomes too long

    @property
    def unsent(self) -> int:
        return sum(map(len, self._left)) if self._left else 0

    def start(self, user: LinkUser) -> None:
        self._user = user
        self._eye = _Watcher(self._sock, self._wake_in)
        self._buffer = memoryview(bytearray(READ_BYTES))
        thread = threading.Thread(target=self._run, name="sig-read", daemon=True)
        try:
            thread.start()
        except BaseException:
            self._eye.close()
            raise
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
            self.relieve()

    def finish(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        self._until = until if self._until is None else min(until, self._until)
        self.relieve()

    def join(self, timeout: float) -> None:
        if self._thread is None:
            self._close()  # it never began
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def abandon(self) -> None:
        for sock in (self._sock, self._wake_in, self._wake_out):
            if sock.fileno() >= 0:
                os.close(sock.detach())

    # Taking turns

    def turn(self) -> bool:
        """Read once, on this thread: returns when something has come, or when `poke` is called.

        Always by the same thread, which may then do whatever it likes: it need not be woken for what comes next, and
        what comes while it is away is read by another. False when the link is down.
        """
        if self._over:
            return False
        self._away = None
        if not self._lent:
            self._wanted = True
            self.poke()
            self._granted.wait()
            self._away = time.monotonic()
            return not self._over  # without reading: something may have come until now
        with self._reading:
            if self._lent and not self._over:  # else it was taken back in the very moment
                self._turns += 1
                self._once()
            self._away = time.monotonic()
        if self._asleep:
            self._asleep = False
            self._call.ring()
        return True

    def poke(self) -> None:
        """Have whoever waits for something to come look up."""
        try:
            self._wake_out.send(b"\0")
        except OSError:
            pass  # full: it is awake already; closed: it is gone

    def relieve(self) -> None:
        """Have somebody read, write and mind the time from here on, although the one whose turn it is may be away."""
        self.poke()
        if self._lent:
            self._relieve = True
            self._call.ring()

    def expect(self) -> None:
        """Somebody waits for an answer: do not leave it to one who has been away for long."""
        away = self._away
        if self._lent and away is not None and time.monotonic() - away >= _EXPECTED_S:
            self._relieve = True
            self._call.ring()

    def _run(self) -> None:
        """On our own thread."""
        while not self._over:
            if self._lent:
                self._watch()
            with self._reading:
                self._lent = False
                taken = time.monotonic()
                while not (self._over or self._wanted):
                    self._once()
                soon = time.monotonic() - taken < _SOON_S
                self._patience = min(2 * self._patience, _AWAY_MOST_S) if soon else _AWAY_S
                self._wanted = False
                self._lent = not self._over
                self._relieve = False
            self._granted.ring()

    def _watch(self) -> None:
        """Return when the thread that reads has been away for too long, or somebody asks for it."""
        turns, looks = self._turns, 0
        while not self._over:
            self._asleep = looks > _QUIET
            if self._asleep and self._away is not None:  # gone before that could be seen
                self._asleep = False
            self._call.wait(None if self._asleep else self._patience)
            if self._turns != turns:
                turns, looks = self._turns, 0
            looks += 1
            away = self._away
            if (self._relieve or (away is not None and time.monotonic() - away >= self._patience)) and self._free():
                return

    def _free(self) -> bool:
        """Whether nobody reads at this moment."""
        if not self._reading.acquire(blocking=False):
            self._relieve = False  # whoever reads has been poked
            return False
        self._lent = False
        self._reading.release()
        return True

    def _close(self) -> None:
        for sock in (self._sock, self._wake_in, self._wake_out):
            sock.close()

    # Reading, by whoever does

    def _once(self) -> None:
        """Read and write once; when that is the end, tell so."""
        error: SigError = ConnectionLost("the server closed the link")
        alive = False
        try:
            alive = self._serve()
        except _Stalled:
            error = ConnectionLost(f"the server has not taken anything for {self._stall_s:g} s")
        except OSError as trouble:
            error = ConnectionLost(f"the link to the server was lost: {trouble.strerror or trouble}")
        finally:
            if not alive:
                self._over = True
                self._user.lost(error)
                self._eye.close()
                self._close()
                for bell in (self._call, self._granted):  # whoever waits has an end too
                    bell.ring()

    def _serve(self) -> bool:
        """False at the end. Raises `OSError`, and `_Stalled` when nothing leaves for too long."""
        now, until = time.monotonic(), self._until
        if until is not None and now >= until:
            return False
        if bool(self._left) is not self._writing:
            self._writing = not self._writing
            self._eye.writing(self._writing)
            self._stalled = now + self._stall_s
        if until is not None and not self._writing and not self._shut:
            self._sock.shutdown(socket.SHUT_WR)
            self._shut = True
        if self._writing and now >= self._stalled:
            raise _Stalled
        wait = None if until is None else until - now
        if self._writing:
            wait = self._stalled - now if wait is None else min(wait, self._stalled - now)
        readable, writable, called = self._eye.look(wait)
        if called:
            self._wake_in.recv(4096)
        if readable:
            try:
                size = self._sock.recv_into(self._buffer)
            except BlockingIOError:  # the system may announce what then is not there
                return True
            if not size:
                return False
            self._user.received(self._buffer[:size])
        if writable and self._user.locked(self._write):
            self._stalled = time.monotonic() + self._stall_s
            if not self._left:
                self._user.writable()
        return True

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


class _Eye(Protocol):
    """Watches the link's socket, and the one that calls whoever watches."""

    def __init__(self, sock: socket.socket, wake: socket.socket) -> None: ...

    def writing(self, writing: bool) -> None:
        """Whether to look for room to write, too."""
        ...

    def look(self, wait: float | None) -> tuple[object, object, object]:
        """Whether there is something to read, room to write, and a call; waits for one of them so many seconds."""
        ...

    def close(self) -> None: ...


class _Poll:
    """By the system's poll, with nothing between. Not epoll, whose descriptor a forked child would share with us."""

    def __init__(self, sock: socket.socket, wake: socket.socket) -> None:
        self._sock, self._wake = sock.fileno(), wake.fileno()
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)

    def writing(self, writing: bool) -> None:
        self._poll.modify(self._sock, select.POLLIN | select.POLLOUT if writing else select.POLLIN)

    def look(self, wait: float | None) -> tuple[object, object, object]:
        ready = self._poll.poll(None if wait is None else math.ceil(wait * 1000))
        if len(ready) == 1 and ready[0][0] == self._sock:  # as nearly always
            found = ready[0][1]
            return found & ~select.POLLOUT, found & select.POLLOUT, False
        events = dict(ready)
        found = events.get(self._sock, 0)
        return found & ~select.POLLOUT, found & select.POLLOUT, self._wake in events

    def close(self) -> None:
        pass


class _Select:
    """Where there is no poll."""

    def __init__(self, sock: socket.socket, wake: socket.socket) -> None:
        self._sock, self._wake = sock, wake
        self._selector = selectors.DefaultSelector()
        for each in (sock, wake):
            self._selector.register(each, selectors.EVENT_READ)

    def writing(self, writing: bool) -> None:
        self._selector.modify(self._sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0))

    def look(self, wait: float | None) -> tuple[object, object, object]:
        events = {key.fileobj: ready for key, ready in self._selector.select(wait)}
        found = events.get(self._sock, 0)
        return found & selectors.EVENT_READ, found & selectors.EVENT_WRITE, self._wake in events

    def close(self) -> None:
        self._selector.close()


_Watcher: type[_Eye] = _Poll if hasattr(select, "poll") else _Select


class _Bell:
    """Wakes one thread; rung before, that need not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass  # it rings already

    def wait(self, timeout: float | None = None) -> bool:
        """Until it rings; whether it has, within `timeout` seconds."""
        return self._lock.acquire(timeout=-1 if timeout is None else timeout)


class _Stalled(Exception):
    pass
