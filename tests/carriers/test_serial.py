"""Serial lines, over pseudo terminals: a client that comes and goes, noise, silence, and ports that vanish."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from carriers.cable import BitFlips, Cable, opened_by_hand, silence
from protocol.who import credential, token

import sig
import sig.aio
from sig.carriers.schemes import client_carrier, server_carrier
from sig.drivers import layered
from sig.protocol.packets import RST, SYN, Packet, PacketReader
from sig.security import Credentials

serial: Any = pytest.importorskip("sig.carriers.serial", exc_type=ImportError)

LIMIT_S = 20
# Terminals are faster than any line, and so need not be waited for.
FAST = "?baudrate=4000000"


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Cable() as made:
        yield made


def url(path: str, options: str = FAST) -> str:
    return f"serial://{path}{options}"


def becomes(look: Callable[[], object], expected: object) -> None:
    deadline = time.monotonic() + LIMIT_S
    while look() != expected and time.monotonic() < deadline:
        time.sleep(0.005)
    assert look() == expected


# -- over a good line ----------------------------------------------------------------------------


def test_events_and_requests_go_both_ways_and_on_over_tcp(cable: Cable) -> None:
    with (
        sig.serve(url(cable.here), "tcp://127.0.0.1:0") as server,
        sig.connect(url(cable.there)) as board,
        sig.connect(server.urls[1]) as desk,
    ):
        assert server.urls[0] == url(cable.here)
        heard: list[object] = []
        desk.add_listener(lambda info, data: heard.append(data), "board", "temperature")
        told: list[object] = []
        board.add_listener(lambda info, data: told.append(data), "desk", "set")
        sender = board.add_sender("board", ["temperature"], requests={"double": lambda number: 2 * number})
        other = desk.add_sender("desk", ["set"])
        for number in range(500):
            sender.trigger("temperature", number)
            other.trigger("set", number)
        assert desk.request("board", "double", 21) == 42
        becomes(lambda: heard, list(range(500)))
        becomes(lambda: told, list(range(500)))
        (found,) = (each for each in server.senders() if each.name == "board")
        assert found.address == cable.here


def test_a_board_logs_in_as_everybody_does(cable: Cable, tmp_path: Path) -> None:
    store = Credentials(tmp_path / "tokens.toml")
    store.save([credential(7, "board")])
    with sig.serve(url(cable.here), auth=store) as server:
        for auth in (None, token(8)):
            with pytest.raises(sig.Denied):
                sig.connect(url(cable.there), auth=auth)
        with sig.connect(url(cable.there), auth=token(7)):
            assert [row.identity for row in server.clients()] == ["board"]


def test_both_ends_in_the_asyncio_face(cable: Cable) -> None:
    async def main() -> None:
        async with sig.aio.serve(url(cable.here)) as server:
            for _ in range(2):
                async with sig.aio.connect(url(cable.there)) as board:
                    await board.add_sender("board", [], requests={"double": lambda number: 2 * number})
                    assert await server.request("board", "double", 21) == 42

    asyncio.run(main())


def test_a_payload_larger_than_any_window(cable: Cable) -> None:
    with sig.serve(url(cable.here)) as server, sig.connect(url(cable.there)) as board:
        board.add_sender("board", [], requests={"echo": lambda data: data})
        assert server.request("board", "echo", "x" * 300_000) == "x" * 300_000


# -- clients come and go -------------------------------------------------------------------------


def test_a_client_may_come_and_go(cable: Cable) -> None:
    with sig.serve(url(cable.here)) as server:
        for number in range(3):
            with sig.connect(url(cable.there)) as board:
                board.add_sender("board", [], requests={"number": lambda _, n=number: n})
                assert server.request("board", "number") == number
            becomes(lambda: [each.name for each in server.senders()], [])


KILLED = """
import os, sys, sig
with sig.connect(sys.argv[1]) as board:
    board.add_sender("board", [], requests={"die": lambda _: os._exit(3)})
    board.wait()
"""


def test_a_client_that_died_is_followed_by_a_new_one(cable: Cable) -> None:
    with sig.serve(url(cable.here)) as server:
        with subprocess.Popen([sys.executable, "-c", KILLED, url(cable.there)]) as child:
            assert server.sender("board").wait(LIMIT_S)
            with pytest.raises(sig.SigError):
                server.request("board", "die", timeout=1)
            assert child.wait(LIMIT_S) == 3
        # It has said nothing, and the server holds its name until somebody else speaks.
        with sig.connect(url(cable.there)) as board:
            board.add_sender("board", [], requests={"alive": lambda _: True})
            assert server.request("board", "alive") is True


def test_a_client_notices_that_its_server_has_begun_anew(cable: Cable) -> None:
    with sig.serve(url(cable.here)) as server:
        board = sig.connect(
            url(cable.there), write_stall_s=1000, reconnect=False
        )  # it asks nobody whether he is still there
        driver = server._server
        assert driver is not None
        (wire,) = (wire for wire in driver._wires.values() if not wire.ours)
        driver.loop.call_soon_threadsafe(wire.abort)
        with pytest.raises(sig.ConnectionLost):
            board.wait(LIMIT_S)
        board.close()
        with sig.connect(url(cable.there)) as again:
            again.flush()


def test_a_server_that_closes_says_all_that_it_has_to_say(cable: Cable) -> None:
    server = sig.serve(url(cable.here, "?baudrate=115200"))
    with sig.connect(url(cable.there, "?baudrate=115200")) as board:
        heard: list[object] = []
        board.add_listener(lambda info, data: heard.append(data), "host", "said")
        signal = server.add_sender("host", ["said"]).signal("said")
        for number in range(500):
            signal.trigger([number, "x" * 100])
        server.close()
        becomes(lambda: len(heard), 500)


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("first", ["client", "server"])
def test_closing_waits_for_the_other_end_and_for_nothing_else(
    cable: Cable, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(layered, "LINGER_S", 1000.0)
    monkeypatch.setattr(serial, "LINGER_S", 1000.0)
    server = sig.serve(url(cable.here), close_timeout_s=1000)
    board = sig.connect(url(cable.there), close_timeout_s=1000, reconnect=False)
    ends = [board, server] if first == "client" else [server, board]
    for end in ends:
        end.close()


def test_a_port_can_be_used_again_at_once(cable: Cable) -> None:
    for _ in range(3):
        with sig.serve(url(cable.here)), sig.connect(url(cable.there)) as board:
            board.flush()


# -- noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_noise_breaks_no_event_and_loses_none(cable: Cable, seed: int) -> None:
    noise = BitFlips(1e-4, seed)
    with sig.serve(url(cable.here)) as server, sig.connect(url(cable.there)) as board:
        heard: list[object] = []
        subscription = server.listen(lambda info, data: heard.append(data), "board", "measured")
        cable.noise = noise
        signal = board.add_sender("board", ["measured"]).signal("measured")
        sent = [[number, "x" * (number * 37 % 300)] for number in range(500)]
        for each in sent:
            signal.trigger(each)
        becomes(lambda: len(heard), len(sent))
        assert heard == sent
        assert noise.hits > 20
        assert subscription.missed == 0


def test_a_line_that_was_noise_alone_recovers(cable: Cable) -> None:
    with sig.serve(url(cable.here)) as server, sig.connect(url(cable.there)) as board:
        board.add_sender("board", [], requests={"double": lambda number: 2 * number})
        cable.noise = BitFlips(0.05, 1)
        asked = server.start_request("board", "double", 21)
        carried = cable.carried
        becomes(lambda: cable.carried > carried + 200, True)
        cable.noise = bytes
        assert asked.result(LIMIT_S) == 42


def test_what_a_slow_line_cannot_take_is_told_as_lost(cable: Cable) -> None:
    """Ten times more than 115,200 baud carry: old events make room for new ones, and are counted."""
    line = "?baudrate=115200"
    with (
        sig.serve(url(cable.here, line), link_drop_bytes=20_000) as server,
        sig.connect(url(cable.there, line)) as board,
    ):
        heard: list[int] = []
        gaps: list[sig.Gap] = []
        board.listen(
            lambda info, data: heard.append(data[0]), "host", "measured", on_gap=lambda info, gap: gaps.append(gap)
        )
        cable.noise = BitFlips(2e-5, 1)
        signal = server.add_sender("host", ["measured"]).signal("measured")
        events = 2000
        for number in range(events):
            signal.trigger([number, "x" * 1000])
        becomes(lambda: heard[-1:], [events - 1])
        becomes(lambda: len(heard) + sum(gap.missed or 0 for gap in gaps), events)
        assert heard == sorted(set(heard))
        assert gaps


@pytest.mark.parametrize("broken", [0.0, 5e-5])
def test_a_board_that_knows_nothing_but_the_page_of_the_wire(cable: Cable, broken: float) -> None:
    cable.noise = BitFlips(broken, 1)
    board = Path(__file__).parents[2] / "examples" / "serial_board.py"
    assert "import sig" not in board.read_text(encoding="utf-8")
    with sig.serve(url(cable.here)) as server:
        heard: list[object] = []
        server.add_listener(lambda info, data: heard.append(data), "board", "temperature")
        host = server.add_sender("host", ["stop"])
        with subprocess.Popen([sys.executable, board, cable.there], stdout=subprocess.PIPE, text=True) as child:
            becomes(lambda: heard, [20 + number / 10 for number in range(100)])
            assert server.request("board", "blink", 3) == "blinked 3 times"
            host.trigger("stop", "x" * 2000)
            output, _ = child.communicate(timeout=LIMIT_S)
            assert output == f"('host', 'stop', '{'x' * 2000}')\n"
            assert child.returncode == 0
        becomes(lambda: [each.name for each in server.senders()], ["host"])
        with sig.connect(url(cable.there)) as again:  # the session has ended in order
            again.flush()


# -- silence -------------------------------------------------------------------------------------


def test_a_cable_that_is_cut_is_noticed_at_both_ends(cable: Cable) -> None:
    with sig.serve(url(cable.here), write_stall_s=1) as server:
        board = sig.connect(url(cable.there), write_stall_s=1, reconnect=False)
        board.add_sender("board", ["e"])
        cable.noise = silence
        with pytest.raises(sig.ConnectionLost, match="acknowledged nothing for 1 s"):
            board.wait(LIMIT_S)
        board.close()
        becomes(lambda: [each.name for each in server.senders()], [])
        cable.noise = bytes
        with sig.connect(url(cable.there)) as again:
            again.flush()


def test_nobody_at_the_other_end(cable: Cable) -> None:
    with pytest.raises(sig.ConnectFailed, match=r"nobody answered at the other end of the line within 0\.4 s"):
        sig.connect(url(cable.there), connect_timeout_s=0.5)


def test_somebody_else_at_the_other_end(cable: Cable) -> None:
    def connect() -> str:
        with pytest.raises(sig.ConnectFailed) as caught:
            sig.connect(url(cable.there), connect_timeout_s=1)
        return str(caught.value)

    with opened_by_hand(cable.here) as console, ThreadPoolExecutor() as aside:
        told = aside.submit(connect)
        assert console.read(1) == b"\0"  # it speaks
        console.write(b"raspberrypi login: ")
        assert "it began with b'raspberrypi login: '" in told.result(LIMIT_S)
        assert "baud rate" in told.result()


def test_a_server_is_silent_and_answers_a_stranger_only_when_it_must(
    cable: Cable, caplog: pytest.LogCaptureFixture
) -> None:
    future = Packet(SYN, 0, 0, 0, 0, b"\1\0\0\0\x63\x08\0\2").encode()
    forgotten = Packet(2, 0, 0, 0, 77, b"for a server of yesterday").encode()
    with sig.serve(url(cable.here)), opened_by_hand(cable.there) as board:
        reader = PacketReader(1000)
        board.write(b"\0" + forgotten)
        answers: list[Packet] = []
        while not answers:
            answers += reader.feed(board.read(100))
        assert [(packet.kind, packet.tag) for packet in answers] == [(RST, 77)]
        with caplog.at_level(logging.WARNING):
            board.write(b"\0" + future)
            while len(answers) < 2:
                answers += reader.feed(board.read(100))
        assert answers[1].kind == SYN
        becomes(lambda: "speaks version 99 of the guard" in caplog.text, True)
    with sig.serve(url(cable.here)), sig.connect(url(cable.there)) as client:
        client.flush()


# -- ports ---------------------------------------------------------------------------------------


def test_a_port_that_was_unplugged_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serial, "_AGAIN_S", 0.01)
    port = tmp_path / "port"
    with Cable() as first, Cable() as second:
        port.symlink_to(first.here)
        with sig.serve(url(str(port))) as server:
            board = sig.connect(url(first.there), reconnect=False)
            board.add_sender("board", ["e"])
            with caplog.at_level(logging.WARNING):
                port.unlink()
                first.unplug()
                becomes(lambda: [each.name for each in server.senders()], [])
                becomes(lambda: "is of no use any more" in caplog.text, True)
            board.close()
            port.symlink_to(second.here)
            with sig.connect(url(second.there)) as again:
                again.add_sender("again", [], requests={"alive": lambda _: True})
                assert server.request("again", "alive") is True


def test_a_port_that_stays_away_keeps_no_server_from_closing(tmp_path: Path) -> None:
    port = tmp_path / "port"
    with Cable() as cable:
        port.symlink_to(cable.here)
        with sig.serve(url(str(port))):
            port.unlink()
            cable.unplug()


def test_a_port_has_one_user(cable: Cable) -> None:
    with sig.serve(url(cable.here)):
        for use in (sig.serve, sig.connect):
            with pytest.raises(sig.ConnectFailed, match=f"cannot use {cable.here}: another program uses it"):
                use(url(cable.here))


def test_a_server_that_cannot_have_its_other_address_lets_go_of_the_port(cable: Cable) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        with pytest.raises(sig.ConnectFailed):
            sig.serve(url(cable.here), server.urls[0])
        with sig.serve(url(cable.here)):
            pass


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/dev/no-such-port", "cannot use /dev/no-such-port: there is no such device; plug it in"),
        ("/dev/null", "cannot use /dev/null: it is no serial line"),
        ("/dev", "cannot use /dev: "),
    ],
)
def test_what_is_no_port_is_told(path: str, sentence: str) -> None:
    for use in (sig.serve, sig.connect):
        with pytest.raises(sig.ConnectFailed) as caught:
            use(url(path))
        assert sentence in str(caught.value)


def test_who_may_not_use_it_is_told_the_group(tmp_path: Path) -> None:
    port = tmp_path / "port"
    port.touch()
    group = serial._group(str(port))
    told = serial._why(str(port), PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    assert f"sudo usermod -aG {group} $USER" in told
    assert "the group dialout" in serial._why("/dev/no-such-port", PermissionError(errno.EACCES, ""))


# -- addresses -----------------------------------------------------------------------------------


def test_a_url_says_how_the_port_is_set() -> None:
    settings = serial._Settings.of("serial:///dev/ttyUSB0?baudrate=9600&parity=e&stopbits=2&rtscts=1&bytesize=8")
    assert settings == ("/dev/ttyUSB0", 9600, 8, "E", 2, True)
    assert settings.rate == 9600 / 12
    assert serial._Settings.of("serial:///dev/ttyACM0") == ("/dev/ttyACM0", 115_200, 8, "N", 1, False)
    assert serial._Settings.of("serial:///COM3").path == "COM3"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("?baudrate=fast", "has baudrate=fast: write a whole number"),
        ("?baudrate=0", "has the baud rate 0"),
        ("?rtscts=yes", "has rtscts=yes: write 0 or 1"),
        ("?bytesize=7", "has bytes of 7 bits: sig needs all 8"),
        ("?parity=mark", "has the unknown parity 'MARK': write N, E or O"),
        ("?stopbits=3", "has 3 stop bits: write 1 or 2"),
        ("?speed=9600", "has the unknown option 'speed': the options of serial:// are baudrate, bytesize"),
    ],
)
def test_a_url_that_means_nothing_is_refused(options: str, sentence: str) -> None:
    for make in (client_carrier, server_carrier):
        with pytest.raises(sig.InvalidArgument) as caught:
            make(f"serial:///dev/ttyUSB0{options}", {})
        assert sentence in str(caught.value)


def test_without_a_path_an_example_is_shown() -> None:
    with pytest.raises(sig.InvalidArgument, match="serial:///dev/ttyUSB0.baudrate=115200"):
        client_carrier("serial://ttyUSB0", {})


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serialx", None)
    monkeypatch.delitem(sys.modules, "sig.carriers.serial")
    with pytest.raises(sig.InvalidArgument, match=r"needs the package 'serialx': pip install 'pysig\[serial\]'"):
        client_carrier("serial:///dev/ttyUSB0", {})
