"""Unix sockets: who may connect, what is left in the directory, and what is said when it fails."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from net.aside import aside

import sig
import sig.aio

LIMIT_S = 10


@pytest.fixture
def folder() -> Iterator[Path]:
    # The paths of sockets are short: one of the tests' own may be too long.
    with TemporaryDirectory(prefix="sig-") as name:
        yield Path(name)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_only_this_user_may_connect_and_nothing_is_left_behind(folder: Path) -> None:
    path = folder / "new" / "bus.sock"
    with sig.serve(f"unix://{path}") as server:
        assert server.urls == [f"unix://{path}"]
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
        with sig.connect(server.urls[0]) as client:
            client.add_sender("s", ["e"])
            assert [sender.name for sender in server.senders()] == ["s"]
    assert list(path.parent.iterdir()) == []


def test_the_server_knows_whose_process_connects(folder: Path) -> None:
    with sig.serve(f"unix://{folder / 'bus.sock'}") as server, sig.connect(server.urls[0]):
        driver = server._server
        assert driver is not None
        (client,) = (link for link in driver.core.connections.values() if link.address != "local")
        assert client.address == f"unix pid {os.getpid()}"
        assert client.identity is not None
        assert client.identity.name == f"uid:{os.getuid()}"


def test_what_an_ended_server_left_behind_is_replaced(folder: Path) -> None:
    path = folder / "bus.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with sig.serve(f"unix://{path}") as server, sig.connect(server.urls[0]) as client:
        assert client.senders() == []


@pytest.mark.parametrize("busy", [False, True])
def test_a_socket_on_which_somebody_listens_is_left_alone(folder: Path, busy: bool) -> None:
    path = folder / "bus.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as waiting:
        other.bind(str(path))
        other.listen(0)
        if busy:  # so that nobody else gets in
            waiting.connect(str(path))
        with pytest.raises(sig.ConnectFailed, match="somebody serves there already"):
            sig.serve(f"unix://{path}")
        assert path.is_socket()


def test_a_file_is_never_replaced(folder: Path) -> None:
    path = folder / "bus.sock"
    path.write_text("precious")
    with pytest.raises(sig.ConnectFailed, match="no socket"):
        sig.serve(f"unix://{path}")
    assert path.read_text() == "precious"


def test_the_socket_of_somebody_else_stays_when_we_end(folder: Path) -> None:
    path = folder / "bus.sock"
    with sig.serve(f"unix://{path}"):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


def test_a_server_that_does_not_start_leaves_no_socket(folder: Path) -> None:
    path = folder / "bus.sock"
    with pytest.raises(sig.ConnectFailed, match="cannot serve on tcp"):
        sig.serve(f"unix://{path}", "tcp://192.0.2.1:1", insecure_public=True)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [("nobody.sock", "nobody serves at unix:///"), ("x" * 200, "the path is too long for a socket")],
)
def test_connecting_to_nobody_is_one_sentence(folder: Path, name: str, told: str) -> None:
    url = f"unix://{folder / name}"
    with pytest.raises(sig.ConnectFailed, match=told):
        sig.connect(url)

    async def main() -> None:
        with pytest.raises(sig.ConnectFailed, match=told):
            await sig.aio.connect(url)

    asyncio.run(main())


def test_a_path_that_is_too_long_to_serve_on_is_one_sentence(folder: Path) -> None:
    with pytest.raises(sig.ConnectFailed, match="the path is too long for a socket"):
        sig.serve(f"unix://{folder / ('x' * 200)}")


def test_a_folder_in_which_one_may_not_write_is_said_to_be_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_allowed(*_: object) -> None:  # whoever runs the tests may be allowed everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.bind", not_allowed)
    with pytest.raises(sig.ConnectFailed, match="this user may not write there: choose a folder of your own"):
        sig.serve(f"unix://{folder}/bus").close()


def test_a_server_that_is_busy_is_waited_for(folder: Path) -> None:
    path = folder / "bus.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as waiting:
        other.bind(str(path))
        other.listen(0)
        waiting.connect(str(path))
        for connect in (sig.connect, lambda url, timeout: asyncio.run(awaited(url, timeout))):
            with pytest.raises(sig.ConnectFailed, match=r"no answer within 0\.1 s"):
                connect(f"unix://{path}", timeout=0.1)
        connecting = aside(lambda: sig.connect(f"unix://{path}", timeout=LIMIT_S, handshake_timeout_s=0.2))
        waiting.close()
        for _ in range(2):  # whoever was before, and ours, now that there is room
            accepted, _ = other.accept()
            accepted.close()
        assert isinstance(connecting.exception(LIMIT_S), sig.ConnectFailed)


async def awaited(url: str, timeout: float) -> None:
    await sig.aio.connect(url, timeout=timeout)
