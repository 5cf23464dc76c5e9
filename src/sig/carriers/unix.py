"""Unix sockets: links to programs of this machine, through a path that says who may come."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import Any, Final

from sig.carriers.address import parse_path
from sig.carriers.streams import StreamClient, StreamServer
from sig.errors import ConnectFailed

_EXAMPLE: Final = "unix:///run/user/1000/sig/bus.sock"
# Whose pid, uid and gid the system tells: struct ucred, socket(7).
_UCRED: Final = struct.Struct("3i")
_AGAIN_S: Final = 0.02
_UNDER_WAY: Final = 4 * 1024 * 1024


class UnixServer(StreamServer):
    """Listens on a path, `unix:///run/sig/bus.sock`. Only this user may connect: the socket is made with mode 0600.

    A directory that is missing is made, with mode 0700. A socket that an ended server left behind is replaced; one on
    which somebody listens, or a file that is no socket, is left alone. Clients are known by their user: `uid:1000`.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.path: Path = Path(parse_path(url, _EXAMPLE))
        self._made: tuple[int, int] | None = None  # device and inode of what we bound

    def bind(self, *, public: bool) -> str:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clear_away()
            self._sockets = [self._bound()]
        except OSError as error:
            raise ConnectFailed(f"cannot serve on unix://{self.path}: {_why(error)}") from None
        return f"unix://{self.path}"

    async def close(self) -> None:
        await super().close()
        self._remove()

    def unbind(self) -> None:
        waiting = bool(self._sockets)
        super().unbind()
        if waiting:
            self._remove()

    def _client_of(self, transport: asyncio.Transport) -> tuple[str, str | None]:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _widen(sock)
        credentials = _credentials(sock)
        if credentials is None:
            return "unix", None
        pid, uid, _ = credentials
        return f"unix pid {pid}", f"uid:{uid}"

    def _clear_away(self) -> None:
        """Remove what an ended server left behind. Raises `OSError` for what is not that."""
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise FileExistsError("there is a file of that name that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink(missing_ok=True)
                return
            except BlockingIOError:
                pass  # somebody listens, and has much to do
        raise FileExistsError("somebody serves there already; stop that server, or choose another path")

    def _bound(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.bind(str(self.path))
            # Nobody can connect before somebody listens, which comes later: so there is no moment in which others may.
            self.path.chmod(0o600)
            status = self.path.lstat()
            self._made = status.st_dev, status.st_ino
        except BaseException:
            sock.close()
            raise
        return sock

    def _remove(self) -> None:
        """Remove our socket from the directory, unless somebody else's stands there by now."""
        try:
            status = self.path.lstat()
            if (status.st_dev, status.st_ino) == self._made:
                self.path.unlink()
        except OSError:
            pass  # gone
        self._made = None


class UnixClient(StreamClient):
    """Connects to the server that listens on a path."""

    def __init__(self, url: str) -> None:
        self.path: Path = Path(parse_path(url, _EXAMPLE))

    def __str__(self) -> str:
        return f"unix://{self.path}"

    def _connect(self, timeout: float) -> socket.socket:
        deadline = time.monotonic() + timeout
        while (sock := self._try(timeout)) is None:
            if time.monotonic() + _AGAIN_S > deadline:
                raise ConnectFailed(self._why_not(TimeoutError(), timeout))
            time.sleep(_AGAIN_S)
        return sock

    async def _create(self, factory: Any, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (sock := self._try(timeout)) is None:
            if loop.time() + _AGAIN_S > deadline:
                raise ConnectFailed(self._why_not(TimeoutError(), timeout))
            await asyncio.sleep(_AGAIN_S)
        _, link = await loop.create_unix_connection(factory, sock=sock)
        return link

    def _try(self, timeout: float) -> socket.socket | None:
        """A connected socket; `None` when the server has more waiting than the system keeps for it."""
        # asyncio would take this last case for a connection that is under way, which it never is.
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            _widen(sock)
            sock.connect(str(self.path))
        except BlockingIOError:
            sock.close()
            return None
        except OSError as error:
            sock.close()
            raise ConnectFailed(self._why_not(error, timeout)) from None
        except BaseException:
            sock.close()
            raise
        return sock

    def _why_not(self, error: OSError, timeout: float) -> str:
        if isinstance(error, ConnectionRefusedError | FileNotFoundError):
            return f"nobody serves at {self}: start a server there (sig serve {self}), or check the path"
        if isinstance(error, PermissionError):
            return f"cannot connect to {self}: it belongs to another user, who alone may connect"
        if isinstance(error, TimeoutError):
            return f"cannot connect to {self}: no answer within {timeout:g} s"
        return f"cannot connect to {self}: {_why(error)}"


def _widen(sock: Any) -> None:
    """Let more be under way than the usual 200 KiB, of which a batch is a good part. TCP sees to that itself."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNDER_WAY)


def _credentials(sock: Any) -> tuple[int, int, int] | None:
    """Process, user and group of the other end; `None` where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if sock is None or option is None:
        return None
    return _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))


def _why(error: OSError) -> str:
    if "too long" in str(error):
        return f"the path is too long for a socket, which takes about 100 bytes: choose a shorter one ({error})"
    if isinstance(error, PermissionError):
        return "this user may not write there: choose a folder of your own"
    return error.strerror or str(error) or os.strerror(error.errno or 0)
