"""Links that break as they are told to; and what becomes of a session that is cut anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conformance.carriers import CARRIERS
from hypothesis import given
from hypothesis import strategies as st

import sig
import sig.aio
from sig.messages import Flush, encode_control
from sig.protocol.frames import PREFACE, Kind, pack
from sig.testing import Fault, Faults, capture, pair, settle
from sig.testing.aio import pair as pair_awaited
from sig.testing.faults import Way
from sig.testing.leftovers import left_behind, our_threads

LIMIT_S = 20.0

# -- one direction -------------------------------------------------------------------------------

FRAMES = [pack(Kind.CALL, encode_control(Flush()), route=number) for number in range(4)]
STREAM = PREFACE + b"".join(FRAMES)


def through(fault: Fault, data: bytes = STREAM, step: int = 5) -> bytes:
    way = Way(fault)
    parts = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(piece for part in parts for piece in way.pass_on(part))


@given(st.integers(1, 60), st.sampled_from([Fault(), Fault(piece_bytes=1), Fault(piece_bytes=7), Fault(pieces_seed=3)]))
def test_pieces_change_nothing_but_where_it_is_cut(step: int, fault: Fault) -> None:
    assert through(fault, step=step) == STREAM


@given(st.integers(1, 60), st.integers(0, len(STREAM) + 5))
def test_so_many_bytes_pass(step: int, at: int) -> None:
    for fault in (Fault(cut_at=at), Fault(stall_at=at), Fault(end_at=at)):
        assert through(fault, step=step) == STREAM[:at]


@given(st.integers(1, 60), st.integers(0, 8 * len(STREAM) + 9))
def test_one_bit_is_the_other(step: int, bit: int) -> None:
    came = int.from_bytes(through(Fault(flip_bit=bit), step=step), "little")
    assert came ^ int.from_bytes(STREAM, "little") == (1 << bit if bit < 8 * len(STREAM) else 0)


@pytest.mark.parametrize(
    ("fault", "order"),
    [
        (Fault(duplicate_frame=1), [0, 1, 1, 2, 3]),
        (Fault(swap_frame=1), [0, 2, 1, 3]),
        (Fault(drop_frame=0), [1, 2, 3]),
        (Fault(duplicate_frame=0, drop_frame=3), [0, 0, 1, 2]),
        (Fault(swap_frame=9), [0, 1, 2, 3]),
    ],
)
def test_frames_come_twice_or_in_another_order(fault: Fault, order: list[int]) -> None:
    for step in (1, 5, 1000):
        assert through(fault, step=step) == PREFACE + b"".join(FRAMES[number] for number in order)


def test_frames_are_told_apart_from_the_preface_on() -> None:
    assert through(Fault(duplicate_frame=2, cut_at=len(PREFACE) + 2)) == STREAM[: len(PREFACE) + 2]


@pytest.mark.parametrize("wrong", [{"cut_at": -1}, {"flip_bit": True}, {"piece_bytes": 0}, {"drop_frame": 1.5}])
def test_what_is_no_place_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(sig.InvalidArgument, match=next(iter(wrong))):
        Fault(**wrong)


# -- on links ------------------------------------------------------------------------------------


def test_a_pair_with_a_link_that_is_cut() -> None:
    faults = Faults(received=Fault(cut_at=1000, piece_bytes=1))
    with pair(faults=faults) as (server, client):
        heard = capture(client, "s", "e")
        sender = server.add_sender("s", "e")

        def go_on() -> None:
            while True:
                sender.trigger("e", "x" * 50)
                client.flush()

        with pytest.raises(sig.ConnectionLost):
            go_on()
        assert heard.data == ["x" * 50] * len(heard)
    assert (faults.opened, faults.bytes_received >= 1000) == (1, True)


def test_the_links_after_it_are_sound() -> None:
    faults = Faults(sent=Fault(cut_at=10))
    with sig.serve("tcp://127.0.0.1:0") as server:
        with pytest.raises(sig.ConnectFailed):
            sig.connect(faults.upon(server.urls[0]), reconnect=False)
        with sig.connect(faults.upon(server.urls[0]), reconnect=False) as client:
            assert client.senders() == []
    assert faults.opened == 2


def test_a_half_that_is_closed_leaves_the_other_open() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        whole = Faults()
        with sig.connect(whole.upon(server.urls[0]), reconnect=False) as client:
            client.senders()
            size = whole.bytes_sent
        ending = Faults(sent=Fault(end_at=size))
        client = sig.connect(ending.upon(server.urls[0]), reconnect=False)
        client.senders()
        assert gone(server)  # it has read the end, and closes the other half
        client.close()


@pytest.mark.parametrize("direction", ["sent", "received"])
def test_a_direction_that_stalls_is_noticed(direction: str) -> None:
    faults = Faults(**{direction: Fault(stall_at=300)})
    with pair("tcp://127.0.0.1:0", faults=faults, heartbeat_timeout_s=1) as (server, client):

        def go_on() -> None:
            while True:
                client.flush(LIMIT_S)

        with pytest.raises(sig.ConnectionLost):
            go_on()
        assert gone(server)


def test_in_asyncio() -> None:
    async def main() -> None:
        async with pair_awaited(faults=Faults(received=Fault(piece_bytes=1))) as (server, client):
            await server.add_sender("s", requests={"echo": lambda params: params})
            assert await client.request("s", "echo", [5]) == [5]
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            for at in range(0, 200, 23):
                with pytest.raises(sig.ConnectFailed):
                    await sig.aio.connect(Faults(received=Fault(cut_at=at)).upon(server.urls[0]))

    asyncio.run(main())


# -- a session that is cut anywhere --------------------------------------------------------------


def gone(server: sig.ServerRouter) -> bool:
    """Wait until the server has nobody and nothing of anybody any more, but its own router."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if server.stats().totals.clients == 1 and {row.name for row in server.senders()} <= {"s"}:
            return True
    return False


@contextmanager
def world(carrier: str) -> Iterator[tuple[sig.ServerRouter, object, list[object]]]:
    """A server of that carrier with a sender of its own, and what it hears of `c`."""
    heard: list[object] = []
    with CARRIERS[carrier]() as ends, ends.serve(sig) as server:
        server.listen(lambda info, data: heard.append(data), "c", "e")
        server.add_sender("s", "e", {"echo": lambda params: params})
        yield server, ends, heard


def session(
    server: sig.ServerRouter, ends: object, faults: Faults, limit_s: float = LIMIT_S
) -> tuple[list[object], str, dict[str, int]]:
    """The session of reference: a handshake, listeners, a sender, events both ways, requests, a goodbye. Returns what
    was heard, why it did not come to its end, and how many bytes there were in each direction before the goodbye."""
    heard: list[object] = []
    done: dict[str, int] = {}

    class api:  # stands for the module
        @staticmethod
        def connect(url: object, **options: object) -> sig.ClientRouter:
            # Certificates and the like are the carrier's.
            waits = ("request_timeout_s", "flush_timeout_s", "handshake_timeout_s", "close_timeout_s")
            limits = dict.fromkeys(waits, limit_s)
            return sig.connect(faults.upon(url, **options), **({"reconnect": False} | limits))  # type: ignore[arg-type]

    try:
        with ends.connect(api, server) as client:  # type: ignore[attr-defined]
            client.listen(lambda info, data: heard.append(data), "s", "e")
            client.listen(lambda info, data: None, None, "#disconnect")
            client.listen(lambda info, data: None, "x/**", "e")
            sender = client.add_sender("c", "e", {"double": lambda number: 2 * number})
            for number in range(10):
                sender.trigger("e", number)
                server.get_sender("s").trigger("e", number)  # type: ignore[union-attr]
            client.flush()
            assert client.request("s", "echo", {"a": [1]}, timeout=limit_s) == {"a": [1]}
            assert client.request("c", "double", 21, timeout=limit_s) == 42
            done |= {"sent": faults.bytes_sent, "received": faults.bytes_received}
    except sig.SigError as error:
        return heard, str(error), done
    return heard, "", done


def is_prefix(found: list[object]) -> bool:
    return found == list(range(len(found)))


# Over all of them and at every byte: python -m benchmarks.reliability cuts
OVER = ["local", "tcp", "unix", "ws", "tls"]


def cut_anywhere(carrier: str, step: int, first: int) -> int:
    """Cut the session at so many bytes, both ways; returns how many there were."""
    before = our_threads()
    count = 0
    with world(carrier) as (server, ends, at_server):
        whole = Faults()
        heard, why, _ = session(server, ends, whole)
        settle(server)
        assert (why, heard, at_server) == ("", list(range(10)), list(range(10)))
        assert gone(server)
        sizes = {"sent": whole.bytes_sent, "received": whole.bytes_received}
        for direction, size in sizes.items():
            for at in range(first, size, step):
                at_server.clear()
                faults = Faults(**{direction: Fault(cut_at=at)})
                heard, why, done = session(server, ends, faults)
                count += 1
                assert gone(server), (direction, at)
                settle(server)  # its own listener may have something in its queue
                assert is_prefix(heard), (direction, at, heard)
                assert is_prefix(at_server), (direction, at, at_server)
                assert why or at >= done[direction], (direction, at)  # it had come to its end before
        assert server.request("s", "echo", 5) == 5
    assert left_behind(before) == []
    return count


@pytest.mark.parametrize("carrier", OVER)
def test_a_session_that_is_cut_ends_with_an_error_and_leaves_nothing(carrier: str) -> None:
    assert cut_anywhere(carrier, 67, 3) > 10


@pytest.mark.slow
def test_a_session_that_is_cut_at_every_third_byte_ends_with_an_error_and_leaves_nothing() -> None:
    cut_anywhere("local", 3, 0)


@pytest.mark.parametrize("seed", range(3))
def test_any_pieces_make_the_same_session(seed: int) -> None:
    pieces = Fault(pieces_seed=seed, piece_bytes=9)
    with world("tcp") as (server, ends, at_server):
        heard, why, _ = session(server, ends, Faults(sent=pieces, received=Fault(piece_bytes=1)))
        settle(server)
        assert (why, heard, at_server) == ("", list(range(10)), list(range(10)))


@pytest.mark.parametrize("kind", ["duplicate_frame", "swap_frame", "drop_frame"])
@pytest.mark.parametrize("direction", ["sent", "received"])
def test_frames_that_come_wrong_cost_at_most_their_own_link(direction: str, kind: str) -> None:
    with world("local") as (server, ends, _):
        for number in (0, 1, 3, 6, 10, 15):
            session(server, ends, Faults(**{direction: Fault(**{kind: number})}), limit_s=0.1)
            assert gone(server), (direction, kind, number)
        assert server.request("s", "echo", 5) == 5
