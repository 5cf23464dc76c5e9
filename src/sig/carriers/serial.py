"""Serial lines: one client at the other end of a cable, which may come and go. Nothing that noise breaks is lost.

Every byte goes through a guard (`protocol.guard`), which the other end must speak too.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from serialx import BaseSerial, serial_for_url

from sig.carriers.address import parse_path, split
from sig.carriers.media import Medium, MediumClient, MediumServer
from sig.constants import Limits
from sig.drivers.aio import ServerDriver, WireUser
from sig.drivers.layered import LayeredLink, LayeredWire
from sig.drivers.links import LINGER_S, Link
from sig.drivers.media import MediumLink, MediumWire
from sig.errors import ConnectFailed, InvalidArgument, SigError
from sig.log import logger
from sig.protocol.connection import Connection
from sig.protocol.guard import GuardLayer

_EXAMPLE: Final = "serial:///dev/ttyUSB0?baudrate=115200"
_READ: Final = 4096
# How long the port may keep a write. What it has not taken by then is lost, as by noise, and sent again.
_WRITE_S: Final = 0.3
# How soon a server that waits for a client notices that it is to end; how often it looks for a port that has gone.
_LOOK_S: Final = 0.1
_AGAIN_S: Final = 1.0
# How long one that had the port before may take to let go of it: a router of ours that has just been closed.
_BUSY_S: Final = 0.4
# Of the time a client has to connect, the part after which it is told what is wrong with the line.
_SHARE: Final = 0.8


class _Settings(NamedTuple):
    """What a URL says of a port."""

    path: str
    baudrate: int = 115_200
    bytesize: int = 8
    parity: str = "N"
    stopbits: int = 1
    rtscts: bool = False

    @classmethod
    def of(cls, url: str) -> _Settings:
        known = cls._fields[1:]
        path = parse_path(url, _EXAMPLE, known)
        given = split(url, known, _EXAMPLE)[1]
        settings = cls(
            path[1:] if re.fullmatch(r"/COM\d+", path, re.IGNORECASE) else path,
            **{name: _value(url, name, text, cls._field_defaults[name]) for name, text in given.items()},
        )
        if settings.bytesize != 8:
            raise InvalidArgument(f"{url!r} has bytes of {settings.bytesize} bits: sig needs all 8, leave bytesize out")
        if settings.parity not in ("N", "E", "O"):
            raise InvalidArgument(f"{url!r} has the unknown parity {settings.parity!r}: write N, E or O")
        if settings.stopbits not in (1, 2):
            raise InvalidArgument(f"{url!r} has {settings.stopbits} stop bits: write 1 or 2")
        if settings.baudrate < 1:
            raise InvalidArgument(f"{url!r} has the baud rate {settings.baudrate}: write what the other end has")
        return settings

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.baudrate / (1 + self.bytesize + (self.parity != "N") + self.stopbits)

    def open(self) -> BaseSerial:
        """The port, ours alone. Raises `ConnectFailed`."""
        port = serial_for_url(
            self.path,
            self.baudrate,
            byte_size=self.bytesize,
            parity=self.parity,
            stopbits=self.stopbits,
            rtscts=self.rtscts,
        )
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                port.open()
                return port
            except Exception as error:  # of several libraries, which have no base in common
                if _number(error) != errno.EBUSY or time.monotonic() > until:
                    raise ConnectFailed(f"cannot use {self.path}: {_why(self.path, error)}") from error
            time.sleep(_BUSY_S / 20)

    def guard(self, limits: Limits, open_s: float, *, active: bool) -> GuardLayer:
        return GuardLayer(
            secrets.randbelow(2**32 - 1) + 1,
            time.monotonic(),
            active=active,
            rate=self.rate,
            open_s=open_s,
            give_up_s=limits.write_stall_s,
        )


class _Line:
    """A port for one session. Implements `Medium`.

    Args:
        done: called when the session is over.
    """

    def __init__(self, port: BaseSerial, guard: GuardLayer, done: Callable[[], object]) -> None:
        self.guard: GuardLayer = guard
        self.failure: Exception | None = None
        """Why the port is of no use any more."""
        self._port = port
        self._done = done
        self._last = False
        self._until = math.inf

    def end_within(self, seconds: float) -> None:
        """Wait no longer than this for the other end to know that the session is over; the first call counts."""
        self._until = min(self._until, time.monotonic() + seconds)

    def read(self, timeout: float) -> bytes | None:
        if time.monotonic() >= self._until:
            return b""
        if self.guard.finished:
            if self._last:
                return b""  # both ends know of it: nobody need wait until the link's time is over
            self._last = True  # what the guard has just said is still to be written
        try:
            return _read(self._port, timeout) or None
        except Exception as error:
            self.failure = error
            raise

    def write(self, data: bytes) -> None:
        _write(self._port, data)

    def close(self) -> None:
        try:
            if not self.guard.finished and self.failure is None:
                self.write(self.guard.denial)
        finally:
            self._done()


class _GuardedWire(LayeredWire):
    """A wire that does not close before the other end has all that was sent, or some time has passed."""

    def __init__(self, driver: WireUser, line: _Line) -> None:
        super().__init__(driver, line.guard)
        self._line = line

    def received(self, connection: Connection, data: bytes | memoryview) -> None:
        if not connection.closed:
            super().received(connection, data)
        else:
            try:
                self._layer.handle_timeout(time.monotonic())
                self._layer.receive(data, time.monotonic())
            except SigError:
                self.abort()
            self.pump(connection)
        if self._layer.closed:
            self.close()
            # What is still to be said is said by the guard, to a guard. The client itself has gone, and may rely on it
            # that nothing of it is left here.
            self.detached(connection)

    def close(self) -> None:
        self._layer.close(time.monotonic())
        self._say()
        self._line.end_within(LINGER_S)


class SerialServer(MediumServer):
    """Serves the client at the other end of a serial line: `serial:///dev/ttyUSB0?baudrate=115200`.

    Clients may come and go, and so may the port: one that is unplugged is looked for until it is back. Options of the
    URL are `baudrate` (115200), `parity` (`N`, `E` or `O`), `stopbits` (1 or 2) and `rtscts` (0 or 1).
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._settings = _Settings.of(url)
        self._port: BaseSerial | None = None
        self._stopping = threading.Event()

    def bind(self, *, public: bool) -> str:
        self._port = self._settings.open()
        return self.url

    def unbind(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    async def serve(self, driver: ServerDriver) -> None:
        self._begun = True
        self._stopping.clear()
        port, self._port = self._port, None
        threading.Thread(target=self._answer, args=(driver, port), name="sig-serial", daemon=True).start()

    def end(self) -> None:
        self._stopping.set()

    # On a thread of its own

    def _answer(self, driver: ServerDriver, port: BaseSerial | None) -> None:
        while port is not None:
            try:
                self._serve_one(driver, port)
                if not self._stopping.is_set():
                    continue
            except Exception as error:  # of the port
                logger.warning(
                    f"{self._settings.path} is of no use any more ({_text(error)}): waiting for it to return"
                )
            port.close()
            port = self._next_port()

    def _serve_one(self, driver: ServerDriver, port: BaseSerial) -> None:
        """Wait for a client, and until it has gone. Raises what the port does."""
        guard = self._settings.guard(driver.limits, driver.limits.handshake_timeout_s, active=False)
        while not guard.called:
            if self._stopping.is_set():
                return
            try:
                guard.receive(_read(port, _LOOK_S), time.monotonic())
            except SigError as error:
                logger.warning(f"somebody at the other end of {self._settings.path} was refused: {error}")
                _write(port, guard.data_to_send())
                return
            _write(port, guard.data_to_send())
        over = threading.Event()
        line = _Line(port, guard, over.set)
        MediumWire(_GuardedWire(driver, line), line, self._settings.path, ticks=True)
        over.wait()
        if line.failure is not None:
            raise line.failure

    def _next_port(self) -> BaseSerial | None:
        while not self._stopping.wait(_AGAIN_S):
            with contextlib.suppress(ConnectFailed):
                return self._settings.open()
        return None


class SerialClient(MediumClient):
    """Leads to the server at the other end of a serial line. The URL is that of `SerialServer`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._settings = _Settings.of(url)
        self._limits = Limits()
        self._line: _Line | None = None  # the last

    def open(self, timeout: float) -> Medium:
        port = self._settings.open()
        guard = self._settings.guard(self._limits, _SHARE * timeout, active=True)
        self._line = _Line(port, guard, port.close)
        return self._line

    def _layer(self, limits: Limits) -> GuardLayer:
        assert self._line is not None  # it has been opened
        return self._line.guard

    def link(self, limits: Limits, timeout: float) -> Link:
        self._limits = limits
        line = self._opened(timeout)  # before its layer: they know each other
        return LayeredLink(MediumLink(line, limits.write_stall_s, ticks=True), self._layer(limits))

    async def link_awaited(self, limits: Limits, timeout: float) -> Link:
        self._limits = limits
        return await super().link_awaited(limits, timeout)


def _value(url: str, name: str, text: str, default: Any) -> Any:
    """What an option says."""
    if isinstance(default, str):
        return text.upper()
    if not (text.isascii() and text.isdigit()) or (isinstance(default, bool) and text not in "01"):
        wanted = "0 or 1" if isinstance(default, bool) else "a whole number"
        raise InvalidArgument(f"{url!r} has {name}={text}: write {wanted}")
    return type(default)(int(text))


def _read(port: BaseSerial, timeout: float) -> bytes:
    """What has come; nothing when nothing did in this time."""
    buffer = bytearray(_READ)
    size = port.readinto(buffer, timeout=timeout)
    return bytes(buffer[:size])


def _write(port: BaseSerial, data: bytes) -> None:
    if data:
        with contextlib.suppress(TimeoutError):
            port.write(data, timeout=_WRITE_S)


def _why(path: str, error: Exception) -> str:
    number = _number(error)
    if number == errno.ENOENT:
        return "there is no such device; plug it in, and check its name (ls /dev/serial/by-id)"
    if number in (errno.EACCES, errno.EPERM):
        group = _group(path)
        return f"this user may not; let it into the group {group} (sudo usermod -aG {group} $USER), and log in again"
    if number == errno.EBUSY:
        return "another program uses it; end that first"
    if number == errno.ENOTTY:
        return "it is no serial line"
    return _text(error)


def _number(error: Exception) -> object:
    """What the system calls it; `termios.error` is no `OSError`."""
    return getattr(error, "errno", None) or next(iter(error.args), None)


def _group(path: str) -> str:
    """Whose members may use it."""
    try:
        import grp

        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
