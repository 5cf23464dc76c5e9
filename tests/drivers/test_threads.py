"""The blocking client's driver: answers find who waits, news its listeners, and every wait has an end."""

from __future__ import annotations

import datetime
import math
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal

import pytest
from net.aside import aside
from net.raw import LIMIT_S, Raw, RawServer, raw_server, result, welcome

import sig
from sig.carriers import TCPClient
from sig.codecs import JSON
from sig.constants import Limits
from sig.drivers.links import Link
from sig.drivers.tail import Tail
from sig.drivers.threads import ThreadsDriver, interrupt_main
from sig.messages import (
    AddSender,
    Bye,
    Close,
    Error,
    Flush,
    Interest,
    Listen,
    Message,
    RemoveSender,
    Result,
    Route,
    decode_call,
    encode_control,
)
from sig.protocol.bodies import (
    Credit,
    Lost,
    Reply,
    Request,
    pack_credit,
    pack_lost,
    pack_reply,
    pack_request,
    unpack_cancel,
    unpack_reply,
    unpack_request,
)
from sig.protocol.events import pack_batch, unpack_events
from sig.protocol.frames import PREFACE, REPLY_ERR, Kind, pack
from sig.protocol.owning import UNHEARD
from sig.signal import UNCHECKED, Check


def route(number: int, sender: str, event: str | None = None, *, owner: bool = False) -> bytes:
    return pack(Kind.ROUTE, encode_control(Route(sender, event, owner=owner)), route=number)


def events(number: int, *values: bytes) -> bytes:
    return pack_batch(number, values, lens=False, lines=True)


def control(kind: Kind, message: Message) -> bytes:
    return pack(kind, encode_control(message))


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


def listening(client: sig.ClientRouter, raw: Raw, callback: object, **options: object) -> sig.Subscription:
    """Let a client listen to ("s", "e"), which is route 5."""
    asking = aside(lambda: client.listen(callback, "s", "e", **options))  # type: ignore[arg-type]
    raw.send(result(None, raw.read(Kind.CALL)), route(5, "s", "e"))
    return asking.result(LIMIT_S)


def holding(client: sig.ClientRouter, raw: Raw, requests: dict[str | None, object] | None = None) -> sig.Sender:
    """Let a client hold "s" with the event "e", which is route 7; its requests are route 8."""
    asking = aside(lambda: client.add_sender("s", "e", requests))  # type: ignore[arg-type]
    raw.send(route(7, "s", "e", owner=True), route(8, "s", owner=True), result(1, raw.read(Kind.CALL)))
    return asking.result(LIMIT_S)


def leave(client: sig.ClientRouter, raw: Raw) -> None:
    """Let a client close, with everything that it asks on its way answered."""
    closing = aside(client.close)
    while (frame := raw.read(Kind.CALL, Kind.BYE)).kind == Kind.CALL:
        raw.send(result(None, frame))
    raw.sock.close()
    closing.result(LIMIT_S)


# -- answers -------------------------------------------------------------------------------------


def at_line(trigger: Any, number: int, act: Callable[[], object]) -> bool:
    """Trigger, and have another thread's work done at that line of it; false if it has not so many."""
    left = number

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if not left:
                act()
        return trace if frame.f_code is trigger.__code__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        trigger(1)
    finally:
        sys.settrace(before)
    return left <= 0


def test_a_call_that_is_not_answered_in_time_says_so(server: RawServer) -> None:
    client, raw = server.connected()
    with pytest.raises(sig.ConnectionLost, match="did not answer Flush within 0.05 s"):
        client.flush(0.05)
    late = raw.read(Kind.CALL)
    asking = aside(client.senders)
    raw.send(result(None, late), result([], raw.read(Kind.CALL)))  # nobody waits for the first
    assert asking.result(LIMIT_S) == []
    leave(client, raw)


def test_the_deadline_of_a_request_goes_with_it_and_it_is_given_up(server: RawServer) -> None:
    client, raw = server.connected()
    asking = aside(lambda: client.request("s", "m", timeout=0.2))
    raw.send(route(5, "s"), result(5, raw.read(Kind.CALL)))
    request = unpack_request(raw.read(Kind.REQUEST))
    assert 0 < request.remaining_ms <= 200
    with pytest.raises(sig.RequestTimeout) as caught:
        asking.result(LIMIT_S)
    assert (caught.value.sender, caught.value.method, caught.value.timeout) == ("s", "m", 0.2)
    assert unpack_cancel(raw.read(Kind.CANCEL)).corr == request.corr
    # An answer that comes now is nobody's, and harms nobody.
    raw.send(pack_reply(Reply(0, request.corr, b"1"), route=5))
    asking = aside(lambda: client.request("s", "m"))
    again = unpack_request(raw.read(Kind.REQUEST))
    raw.send(*(pack_reply(Reply(0, again.corr, said), route=5) for said in (b"2", b"3")))  # nor is a second
    assert asking.result(LIMIT_S) == 2
    leave(client, raw)


def test_ctrl_c_gives_a_request_up(server: RawServer) -> None:
    program = (
        "import sys, sig\n"
        "client = sig.connect(sys.argv[1])\n"
        "try:\n"
        "    client.request('s', 'm')\n"
        "except KeyboardInterrupt:\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, server.url], stdin=subprocess.PIPE, text=True) as process:
        raw = server.welcome()
        raw.send(route(5, "s"), result(5, raw.read(Kind.CALL)))
        corr = unpack_request(raw.read(Kind.REQUEST)).corr
        process.send_signal(signal.SIGINT)
        assert unpack_cancel(raw.read(Kind.CANCEL)).corr == corr
        raw.sock.close()
        process.communicate("\n", timeout=LIMIT_S)
    assert process.returncode == 0


def test_what_is_given_up_half_way_does_not_stay_at_the_server(server: RawServer) -> None:
    client, raw = server.connected(request_timeout_s=0.05)
    with pytest.raises(sig.ConnectionLost, match="did not answer Listen"):
        client.listen(print, "s", "e")
    listen, close = (decode_call(raw.read(Kind.CALL).body) for _ in range(2))
    assert isinstance(listen, Listen)
    assert close == Close(listen.id)
    with pytest.raises(sig.ConnectionLost, match="did not answer AddSender"):
        client.add_sender("s", "e")
    assert [decode_call(raw.read(Kind.CALL).body) for _ in range(2)] == [AddSender("s", ["e"]), RemoveSender("s")]
    assert client.get_sender("s") is None
    leave(client, raw)


# -- news ----------------------------------------------------------------------------------------


def test_news_that_comes_with_an_answer_is_there_before_the_answer(server: RawServer) -> None:
    """What came before it stands in front of what the caller does next."""
    heard: list[object] = []
    client, raw = server.connected()
    listening(client, raw, lambda info, data: heard.append(data))
    asking = aside(client.senders)
    call = raw.read(Kind.CALL)
    raw.send(*(events(5, b"%d" % number) for number in range(500)), result([], call))
    asking.result(LIMIT_S)
    assert client._driver is not None
    draining = aside(lambda: client._driver.drain(LIMIT_S))  # type: ignore[union-attr]
    raw.send(result(None, raw.read(Kind.CALL)))
    draining.result(LIMIT_S)
    assert heard == list(range(500))
    leave(client, raw)


def test_what_cannot_be_decoded_costs_its_frame_and_is_counted(
    server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []
    gaps: list[sig.Gap] = []
    client, raw = server.connected()
    subscription = listening(
        client, raw, lambda info, data: heard.append(data), on_gap=lambda info, gap: gaps.append(gap)
    )
    raw.send(
        events(5, b"1"),
        events(5, b"\xff\xfe", b"{"),
        pack_batch(0, [b"]", b"]"], lens=True, lines=True, routes=[5, 99]),  # and one of a route unheard of
        events(5, b"2"),
    )
    leave(client, raw)
    assert heard == [1, 2]
    assert gaps == [(2, "undecodable"), (1, "undecodable")]
    assert (subscription.received, subscription.missed) == (2, 3)
    assert "2 events could not be decoded" in caplog.text


def test_losses_are_told_in_their_place_and_with_their_reason(server: RawServer) -> None:
    heard: list[object] = []
    client, raw = server.connected()
    subscription = listening(
        client,
        raw,
        lambda info, data: heard.append((info.seq, data)),
        on_gap=lambda info, gap: heard.append(tuple(gap)),
        meta=True,
    )
    raw.send(
        events(5, b"1"),
        pack_lost(Lost(5, 3, "slow")),
        events(5, b"5", b"6"),
        pack_lost(Lost(5, 2, "too_big")),
        pack_lost(Lost(5, None, "server_restart")),
        pack_lost(Lost(99, 1, "slow")),  # of a route unheard of
        events(5, b"9"),
    )
    leave(client, raw)
    assert heard == [(1, 1), (3, "slow"), (5, 5), (6, 6), (2, "too_big"), (None, "server_restart"), (9, 9)]
    assert (subscription.received, subscription.missed) == (4, 5)


def test_a_mixed_frame_is_told_in_its_order(server: RawServer) -> None:
    heard: list[tuple[str, object]] = []
    client, raw = server.connected()
    subscription = listening(client, raw, lambda info, data: heard.append((info.event, data)))
    asking = aside(lambda: client.listen(lambda info, data: heard.append((info.event, data)), "s", "f"))
    raw.send(result(None, raw.read(Kind.CALL)), route(6, "s", "f"))
    other = asking.result(LIMIT_S)
    routes, values = [5, 5, 6, 77, 6, 5], [b"1", b"2", b"3", b"4", b"5", b"6"]
    raw.send(pack_batch(0, values, lens=True, lines=True, routes=routes))
    leave(client, raw)
    assert heard == [("e", 1), ("e", 2), ("f", 3), ("f", 5), ("e", 6)]
    assert (subscription.received, other.received) == (3, 2)


def test_a_route_that_goes_takes_its_listeners_along_and_comes_back(server: RawServer) -> None:
    heard: list[object] = []
    client, raw = server.connected()
    listening(client, raw, lambda info, data: heard.append(data))
    gone = pack(Kind.ROUTE_GONE, b'{"reason":"closed"}', route=5)
    raw.send(events(5, b"1"), gone, gone, events(5, b"2"), route(6, "s", "e"), events(6, b"3"))
    leave(client, raw)
    assert heard == [1, 3]


def test_a_mistake_of_ours_costs_one_piece_of_news(
    server: RawServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    client, raw = server.connected()
    listening(client, raw, lambda info, data: heard.append(data))

    def broken(payloads: object, lens: object, count: int) -> object:
        monkeypatch.undo()
        raise AssertionError("a mistake of ours")

    from sig import decoding

    monkeypatch.setattr(decoding, "batch_decode", lambda codec, *rest: broken(*rest))
    raw.send(events(5, b"1"), events(5, b"2"))
    leave(client, raw)
    assert heard == [2]
    assert "a mistake of ours" in caplog.text


# -- triggering ----------------------------------------------------------------------------------

# More than the welcome of the server that is played here allows at a time.
LARGE = "x" * (1 << 20)


def interest(state: Literal["none", "some"], *, held: bool = False) -> bytes:
    return pack(Kind.INTEREST, encode_control(Interest(state, held=held)), route=7)


def told(client: sig.ClientRouter, raw: Raw, *frames: bytes) -> None:
    """Let the server say something, and the client take note of it."""
    asking = aside(client.senders)
    raw.send(*frames, result([], raw.read(Kind.CALL)))
    asking.result(LIMIT_S)


def values(raw: Raw, count: int) -> list[object]:
    """The next events of route 7; no frame of another kind may come between."""
    found: list[object] = []
    while len(found) < count:
        frame = raw.read()
        assert (frame.kind, frame.route) == (Kind.EVENT, 7)
        batch = unpack_events(frame)
        found += JSON.decode_many(batch.payloads, batch.lens, frame.count)
    assert len(found) == count
    return found


def tail(client: sig.ClientRouter) -> Tail:
    assert isinstance(client._driver, ThreadsDriver)
    return client._driver._tail


@contextmanager
def ending(client: sig.ClientRouter, raw: Raw) -> Iterator[None]:
    """Both ends are closed, however it ends."""
    try:
        yield
    finally:
        raw.sock.close()
        client.close(0)


def test_a_burst_arrives_as_it_was_triggered_and_a_call_behind_it(server: RawServer) -> None:
    client, raw = server.connected()
    trigger = holding(client, raw).signal("e").trigger
    wanted: list[object] = [*range(3000), "y" * 5000, *range(100)]  # what is large is not gathered
    for value in wanted:
        trigger(value)
    flushing = aside(client.flush)
    assert values(raw, len(wanted)) == wanted
    raw.send(result(None, raw.read()))
    flushing.result(LIMIT_S)
    leave(client, raw)


def test_events_from_many_threads_all_arrive_and_each_ones_stay_in_order() -> None:
    threads, each = 4, 1500
    heard: dict[object, list[object]] = {name: [] for name in range(threads)}
    done = threading.Event()

    def listener(info: sig.Info, data: object) -> None:
        assert isinstance(data, list)
        heard[data[0]].append((info.event, data[1]))
        if sum(map(len, heard.values())) == threads * each:
            done.set()

    def work(name: int) -> None:
        begin.wait(LIMIT_S)
        for number in range(each):
            # One in a hundred is too large to be gathered.
            triggers[number % 2]([name, number, "z" * (5000 if number % 100 == name else 0)])

    begin = threading.Barrier(threads)
    with sig.serve("tcp://127.0.0.1:0") as ours, sig.connect(ours.urls[0]) as client:
        ours.listen(listener, "s")
        sender = client.add_sender("s", ["e", "f"])
        triggers = [sender.signal("e").trigger, sender.signal("f").trigger]
        workers = [aside(partial(work, name)) for name in range(threads)]
        for worker in workers:
            worker.result(LIMIT_S)
        assert done.wait(LIMIT_S)  # although nobody triggers any more, nor flushes
    for numbers in heard.values():
        assert numbers == [("ef"[number % 2], number) for number in range(each)]


@pytest.mark.parametrize("heard", [True, False])
def test_a_cached_trigger_says_why_nothing_goes_any_more(server: RawServer, heard: bool) -> None:
    """Also where nobody listened: then it was silent before."""

    def cached(client: sig.ClientRouter, raw: Raw) -> tuple[sig.Sender, Callable[[object], None]]:
        sender = holding(client, raw)
        told(client, raw, interest("some" if heard else "none"))
        return sender, sender.signal("e").trigger

    client, raw = server.connected()
    sender, trigger = cached(client, raw)
    removing = aside(sender.remove)
    raw.send(result(True, raw.read(Kind.CALL)))
    assert removing.result(LIMIT_S) is True
    with pytest.raises(sig.SenderNotConnected, match="'s'"):
        trigger(1)
    sender, trigger = cached(client, raw)
    raw.send(pack(Kind.ROUTE_GONE, b'{"reason":"closed"}', route=7))  # the server says so by itself
    told(client, raw)
    with pytest.raises(sig.SenderNotConnected, match="'s'"):
        trigger(1)
    leave(client, raw)
    with pytest.raises(sig.Closed):
        trigger(1)

    client, raw = server.connected()
    with ending(client, raw):
        sender, trigger = cached(client, raw)
        waiting = aside(client.wait)
        raw.sock.close()
        assert isinstance(waiting.exception(LIMIT_S), sig.ConnectionLost)
        for call in (trigger, sender.signal("e").trigger):
            with pytest.raises(sig.ConnectionLost, match="the link"):
                call(1)


def test_a_signal_with_a_trigger_of_its_own_sends_what_that_makes_of_it(server: RawServer) -> None:
    class Loud(sig.Signal):
        def trigger(self, data: object = None) -> None:
            super().trigger(f"{data}!")

    client, raw = server.connected(class_signal=Loud)
    signal = holding(client, raw).signal("e")
    assert isinstance(signal, Loud)
    signal.trigger("hello")
    signal.trigger()
    assert values(raw, 2) == ["hello!", "None!"]
    leave(client, raw)
    with pytest.raises(sig.Closed):
        signal.trigger()


def test_what_nobody_hears_is_neither_encoded_nor_sent(server: RawServer) -> None:
    """Nor checked: what could not be encoded is accepted as long as nobody listens."""
    client, raw = server.connected()
    trigger = holding(client, raw).signal("e").trigger
    with pytest.raises(sig.InvalidData, match="object"):
        trigger(object())
    trigger(1)
    assert values(raw, 1) == [1]
    told(client, raw, interest("none"))
    for unsent in (2, object(), LARGE):
        trigger(unsent)
    told(client, raw, interest("some"))
    trigger(3)
    with pytest.raises(sig.InvalidData, match="object"):
        trigger(object())
    frame = raw.read()
    assert frame.data == interest("some", held=True)
    assert values(raw, 1) == [3]
    told(client, raw, interest("none"))
    told(client, raw, interest("some"))
    assert raw.read().data == interest("some")  # there was nothing to hold back
    leave(client, raw)


@pytest.mark.parametrize("check", [UNCHECKED, (int, int)], ids=["any data", "of a type"])
def test_what_is_triggered_while_somebody_begins_to_listen_is_sent_or_told_as_held_back(
    server: RawServer, check: Check
) -> None:
    """At whatever line of it another thread brings the news."""
    client, raw = server.connected()
    with ending(client, raw):
        driver = client._driver
        assert isinstance(driver, ThreadsDriver)
        trigger, events = driver.outlet("s", "e", JSON, check), driver.core.outgoing.events
        changed = driver.core.owning._outlets["s", "e"]
        tail(client).gate, tail(client).armed = math.inf, True  # it is gathered, and waits
        held: list[object] = []
        for lines in range(1, 100):
            changed(UNHEARD)
            if not at_line(trigger, lines, lambda: held.append(changed(7))):
                break
            assert held.pop() or events == [(7, b"1")]
            events.clear()
        assert lines > 3


def test_what_is_triggered_while_the_link_is_lost_is_kept_for_the_next(server: RawServer) -> None:
    """At whatever line of it another thread has that news."""
    kept = []
    for lines in range(1, 100):
        client, raw = server.connected(reconnect=True)
        with ending(client, raw):
            driver = client._driver
            assert isinstance(driver, ThreadsDriver)
            assert client._returning is not None
            client._returning._stop.set()  # it is away for good
            trigger = holding(client, raw).signal("e").trigger
            tail(client).gate, tail(client).armed = math.inf, True  # it is gathered, and waits
            if not at_line(trigger, lines, lambda: driver.lost(sig.ConnectionLost("the cable was pulled"))):  # noqa: B023
                break
            with driver._lock:
                assert driver.core.offline is not None
                driver.core.owning._gather(driver.core.offline)
                kept.append(len(driver.core.offline))
    assert kept == [1] * len(kept)
    assert len(kept) > 3


def test_who_begins_to_listen_hears_what_is_triggered_from_then_on() -> None:
    heard: list[object] = []
    with sig.serve("tcp://127.0.0.1:0") as ours, sig.connect(ours.urls[0]) as client:
        trigger = client.add_sender("s", "e").signal("e").trigger
        for turn in range(20):
            trigger((turn, "before"))
            client.flush()  # by then it is known that nobody listens, or about to be
            trigger((turn, "between"))
            with ours.listen(lambda info, data: heard.append(data), "s", "e"):
                trigger((turn, "after"))
                client.flush()
                ours.flush()
                drained(ours)
            trigger((turn, "behind"))
    assert [value for value in heard if value[1] != "after"] == []  # type: ignore[index]
    assert heard == [[turn, "after"] for turn in range(20)]


def drained(router: sig.ServerRouter) -> None:
    """What has arrived has been given to the listeners."""
    assert router._driver is not None
    router._driver.drain(LIMIT_S)


# -- waiting for room ----------------------------------------------------------------------------


def full(client: sig.ClientRouter, raw: Raw) -> Callable[[object], None]:
    """Let a client use up its credit; returns what triggers."""
    trigger = holding(client, raw).signal("e").trigger
    trigger(LARGE)
    assert values(raw, 1) == [LARGE]
    return trigger


def credit(amount: int = 1 << 20) -> bytes:
    return pack_credit(Credit(amount))


def test_without_credit_a_trigger_waits_and_in_the_end_is_refused_with_nothing_accepted(server: RawServer) -> None:
    client, raw = server.connected(send_timeout_s=0.05)
    trigger = full(client, raw)
    assert client._driver is not None
    before = client._driver.triggered
    for _ in range(2):
        with pytest.raises(sig.Overloaded, match="within 0.05 s: trigger less often"):
            trigger("refused")
    assert client._driver.triggered == before
    told(client, raw, credit())
    trigger("accepted")
    assert values(raw, 1) == ["accepted"]
    leave(client, raw)


def test_with_credit_those_who_wait_go_on(server: RawServer) -> None:
    client, raw = server.connected()
    trigger = full(client, raw)
    waiting = [aside(partial(trigger, number)) for number in range(3)]
    asking = aside(client.senders)
    call = raw.read()  # control needs no credit, and nothing came before it
    assert call.kind == Kind.CALL
    assert not any(trigger.done() for trigger in waiting)
    raw.send(credit(), result([], call))
    for each in waiting:
        each.result(LIMIT_S)
    asking.result(LIMIT_S)
    assert sorted(values(raw, 3)) == [0, 1, 2]  # type: ignore[type-var]
    leave(client, raw)


@pytest.mark.parametrize("how", ["lost", "closed", "removed"])
def test_who_waits_for_room_is_told_when_there_will_be_none(server: RawServer, how: str) -> None:
    client, raw = server.connected(send_timeout_s=600)
    with ending(client, raw):
        trigger = full(client, raw)
        waiting = aside(partial(trigger, 1))
        if how == "lost":
            raw.sock.close()
            with pytest.raises(sig.ConnectionLost):
                waiting.result(LIMIT_S)
        elif how == "closed":
            leave(client, raw)
            with pytest.raises((sig.Closed, sig.SenderNotConnected)):
                waiting.result(LIMIT_S)
        else:
            removing = aside(partial(client.remove_sender, "s"))
            raw.send(credit(), result(True, raw.read(Kind.CALL)))
            with pytest.raises(sig.SenderNotConnected):
                waiting.result(LIMIT_S)
            removing.result(LIMIT_S)


def test_what_is_triggered_in_the_moment_in_which_a_link_ends_waits_for_the_next(server: RawServer) -> None:
    """The answer and the end come at once; whoever was given the answer triggers."""
    client, raw = server.connected(reconnect=True, reconnect_first_s=600)
    driver = client._driver
    assert driver is not None
    with ending(client, raw):
        sender = holding(client, raw)
        answered: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def done(value: object, error: BaseException | None) -> None:
            try:
                sender.trigger("e", 1)
            except sig.SigError as refused:
                answered.put(refused)
            else:
                answered.put(error)

        driver.start_request("other", "m", b"null", time.monotonic() + LIMIT_S, 1, done)
        raw.send(route(5, "other"), result(5, raw.read(Kind.CALL)))
        corr = unpack_request(raw.read(Kind.REQUEST)).corr
        end = control(Kind.BYE, Bye("shutdown", "the server closes"))
        raw.send(pack_reply(Reply(0, corr, b"1"), route=5), end)
        assert answered.get(timeout=LIMIT_S) is None
        assert driver.core.offline is not None
        assert len(driver.core.offline) == 1


def test_ctrl_c_ends_the_waiting_for_room_and_nothing_was_accepted(server: RawServer) -> None:
    program = (
        "import sys, sig\n"
        "with sig.connect(sys.argv[1], send_timeout_s=600) as client:\n"
        "    trigger = client.add_sender('s', 'e').signal('e').trigger\n"
        "    try:\n"
        "        trigger('x' * (1 << 20))\n"
        "        trigger('never')\n"
        "    except KeyboardInterrupt:\n"
        "        client.senders()\n"
        "        trigger('after')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, server.url]) as process:
        raw = server.welcome()
        raw.send(route(7, "s", "e", owner=True), route(8, "s", owner=True), result(1, raw.read(Kind.CALL)))
        assert values(raw, 1) == [LARGE]
        process.send_signal(signal.SIGINT)
        raw.send(credit(), result([], raw.read(Kind.CALL)))
        assert values(raw, 1) == ["after"]
        while (frame := raw.read(Kind.CALL, Kind.BYE)).kind == Kind.CALL:
            raw.send(result(None, frame))
        raw.sock.close()
        assert process.wait(LIMIT_S) == 0


def test_an_event_that_is_being_encoded_when_nobody_listens_any_more_harms_nobody(server: RawServer) -> None:
    client, raw = server.connected()
    driver = client._driver
    assert isinstance(driver, ThreadsDriver)

    class Zone(datetime.tzinfo):
        """Encoding asks it, and so takes long enough."""

        def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta:
            told(client, raw, interest("none"))
            return datetime.timedelta(0)

        def tzname(self, when: datetime.datetime | None) -> str:
            return "zone"

        dst = utcoffset

    trigger = holding(client, raw).signal("e").trigger
    tail(client).gate, tail(client).armed = math.inf, True  # it is gathered, and waits
    trigger(datetime.datetime(2000, 1, 1, tzinfo=Zone()))
    routes = [number for number, _ in driver.core.outgoing.events]
    driver.core.outgoing.events.clear()  # a number that is none would cost the link
    leave(client, raw)
    assert routes in ([], [7])


def test_what_was_gathered_leaves_in_one_frame_with_the_first_that_comes_after(server: RawServer) -> None:
    client, raw = server.connected()
    with ending(client, raw):
        trigger = holding(client, raw).signal("e").trigger
        tail(client).gate, tail(client).armed = math.inf, True  # the tail is slow
        for number in range(3):
            trigger(number)
        tail(client).gate = 0.0
        trigger(3)
        frame = raw.read()
        assert (frame.kind, frame.count) == (Kind.EVENT, 4)
        assert JSON.decode_many(unpack_events(frame).payloads, None, 4) == [0, 1, 2, 3]


def test_who_finds_no_room_for_what_was_gathered_sends_that_first(server: RawServer) -> None:
    client, raw = server.connected(send_window_bytes=100, send_timeout_s=600)
    with ending(client, raw):
        trigger = holding(client, raw).signal("e").trigger
        tail(client).gate, tail(client).armed = math.inf, True  # the tail is slow
        for _ in range(3):
            trigger("x" * 50)
        tail(client).gate = 0.0
        aside(partial(trigger, "y")).result(LIMIT_S)
        assert values(raw, 4)[-1] == "y"


def test_who_loses_the_room_to_another_is_told_when_there_is_some_again(server: RawServer) -> None:
    client, raw = server.connected(send_timeout_s=600)
    with ending(client, raw):
        trigger = full(client, raw)
        driver = client._driver
        assert isinstance(driver, ThreadsDriver)
        tail(client).gate, tail(client).armed = 1e-9, True  # the tail is slow
        waiting = aside(partial(trigger, "waits"))
        while tail(client).gate:
            pass  # until it waits
        with driver._lock:
            # Who waits is told that there is room. But before it has the lock, another has had it and gathers,
            # and a third has it and sends.
            driver.core.receive_at(credit(), 0.0)
            driver._room_changed()
            tail(client).gate = math.inf
            for _ in range(300):
                trigger("x" * 4000)
            driver._pump()
        assert len(values(raw, 300)) == 300
        raw.send(credit())
        waiting.result(LIMIT_S)
        assert values(raw, 1) == ["waits"]


# -- the end -------------------------------------------------------------------------------------


def test_everybody_who_waits_is_told_when_the_server_goes(server: RawServer) -> None:
    client, raw = server.connected()
    view = client.sender("absent")
    with client:
        asking = aside(lambda: client.request("s", "m", timeout=600))
        raw.send(route(5, "s"), result(5, raw.read(Kind.CALL)))
        raw.read(Kind.REQUEST)
        others = [aside(client.senders), aside(client.wait), aside(lambda: client.flush(600)), aside(view.wait)]
        calls = [raw.read(Kind.CALL) for _ in range(3)]
        for call in calls:  # those of `view.wait`, up to where it waits
            if isinstance(decode_call(call.body), Listen):
                raw.send(result(None, call))
                raw.send(result([], raw.read(Kind.CALL)))
        raw.sock.close()
        with pytest.raises(sig.ConnectionLost, match="whether the request was carried out is unknown"):
            asking.result(LIMIT_S)
        for other in others:
            with pytest.raises(sig.ConnectionLost, match="the server closed the link"):
                other.result(LIMIT_S)


def test_a_goodbye_is_told_at_once_and_in_the_servers_words(server: RawServer) -> None:
    client, raw = server.connected()
    with client:
        waiting = aside(client.wait)
        raw.send(control(Kind.BYE, Bye("shutdown", "back at noon")))
        with pytest.raises(sig.ConnectionLost, match="the server closed the link: back at noon"):
            waiting.result(LIMIT_S)  # although the socket is still open
        assert raw.last_words() is None
        raw.sock.close()


@pytest.mark.parametrize(
    "sent",
    [
        pack(Kind.RESULT, b"[]", route=1),
        pack(Kind.RESULT, b"\xff", route=1),
        pack(Kind.ROUTE, b'{"sender":5}', route=1),
        pack(Kind.HELLO, b"{}"),
        pack(Kind.REPLY, b"12"),
        pack(Kind.EVENT, b"12345678", count=0),
        pack_request(Request(1, 1, 1000, 1, "m", b"1"), route=5),
        b"\xff\xff\xff\xff" * 3,
    ],
)
def test_a_server_that_breaks_the_rules_is_told_which_and_left(server: RawServer, sent: bytes) -> None:
    client, raw = server.connected()
    with client:
        asking = aside(client.senders)
        raw.read(Kind.CALL)
        raw.send(sent)
        with pytest.raises(sig.ConnectionLost):
            asking.result(LIMIT_S)  # although the server stays
        said = raw.last_words()
        assert said is not None
        assert said.fatal
        assert client.state == "away"
        raw.sock.close()


def test_an_error_from_the_server_ends_the_link_with_its_words(server: RawServer) -> None:
    client, raw = server.connected()
    with client:
        waiting = aside(client.wait)
        raw.send(control(Kind.ERROR, Error("protocol", "mind your manners", fatal=True)))
        with pytest.raises(sig.ConnectionLost, match="mind your manners"):
            waiting.result(LIMIT_S)
        raw.sock.close()


def test_on_disconnected_comes_last_and_not_where_bytes_are_read(server: RawServer) -> None:
    heard: list[object] = []
    on: list[threading.Thread] = []
    over = threading.Event()
    client, raw = server.connected()
    client.on_disconnected = lambda: (heard.append("gone"), on.append(threading.current_thread()), over.set())
    listening(client, raw, lambda info, data: (heard.append(data), on.append(threading.current_thread())))
    raw.send(*(events(5, b"%d" % number) for number in range(200)))
    raw.sock.close()
    assert over.wait(LIMIT_S)
    assert heard == [*range(200), "gone"]
    assert len(set(on)) == 1
    client.close()
    assert heard[-1] == "gone"
    assert len(heard) == 201


def test_closing_gives_listeners_what_has_arrived_while_everything_works(server: RawServer) -> None:
    answers: list[object] = []
    begun, go_on = threading.Event(), threading.Event()
    client, raw = server.connected()

    def ask(info: sig.Info, data: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        answers.append(client.request("t", "m", data))

    listening(client, raw, ask)
    raw.send(route(6, "t"), *(events(5, b"%d" % number) for number in range(5)))
    assert begun.wait(LIMIT_S)
    closing = aside(client.close)
    flush = raw.read(Kind.CALL)
    assert isinstance(decode_call(flush.body), Flush)
    raw.send(result(None, flush))
    go_on.set()
    for _ in range(5):
        opening = raw.read(Kind.CALL, Kind.REQUEST)
        if opening.kind == Kind.CALL:
            raw.send(result(6, opening))
            opening = raw.read(Kind.REQUEST)
        request = unpack_request(opening)
        raw.send(pack_reply(Reply(0, request.corr, request.payload), route=6))
    raw.read(Kind.BYE)
    raw.sock.close()
    closing.result(LIMIT_S)
    assert answers == list(range(5))


def test_closing_takes_its_time_and_no_more_where_the_server_says_nothing(
    server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    client, raw = server.connected()
    sender = holding(client, raw)
    client.close(0.05)
    assert [type(decode_call(raw.read(Kind.CALL).body)) for _ in range(2)] == [RemoveSender, Flush]
    assert raw.read().kind == Kind.BYE
    assert not sender.connected
    raw.sock.close()


def test_a_second_close_waits_for_the_first_but_not_inside_what_that_waits_for(server: RawServer) -> None:
    begun, go_on = threading.Event(), threading.Event()
    inside: list[str] = []
    client, raw = server.connected()

    def close_too(info: sig.Info, data: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        client.close()
        inside.append("returned")

    listening(client, raw, close_too)
    raw.send(events(5, b"1"))
    assert begun.wait(LIMIT_S)
    first = aside(client.close)
    raw.send(result(None, raw.read(Kind.CALL)))  # the first is on its way
    second = aside(client.close)
    assert not second.done()
    go_on.set()
    raw.read(Kind.BYE)
    raw.sock.close()
    first.result(LIMIT_S)
    second.result(LIMIT_S)
    assert inside == ["returned"]


def test_a_listener_that_does_not_end_is_named_by_its_thread(
    server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    client, raw = server.connected()

    def stuck(info: sig.Info, data: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        ended.set()

    listening(client, raw, stuck)
    raw.send(events(5, b"1", b"2"))
    assert begun.wait(LIMIT_S)
    client.close(0.05)
    assert "a listener is still busy" in caplog.text
    go_on.set()
    assert ended.wait(LIMIT_S)
    raw.sock.close()


def test_closing_while_it_opens_ends_the_opening(server: RawServer) -> None:
    client = sig.ClientRouter(server.url)
    opening = aside(client.open)
    raw = server.accept()
    raw.read(Kind.HELLO)
    assert client.state == "connecting"
    client.close()
    with pytest.raises(sig.Closed):
        opening.result(LIMIT_S)
    assert client.state == "closed"
    raw.sock.close()


def test_opening_twice_at_once_opens_once(server: RawServer) -> None:
    both = threading.Barrier(2)

    class Carrier(TCPClient):
        def link(self, limits: Limits, timeout: float) -> Link:
            link = super().link(limits, timeout)
            both.wait(LIMIT_S)
            return link

    client = sig.ClientRouter(Carrier(server.url))
    attempts = [aside(client.open), aside(client.open)]
    links = [server.accept(), server.accept()]
    for raw in links:
        try:
            raw.read(Kind.HELLO)
        except EOFError:
            raw.sock.close()
        else:
            raw.send(PREFACE, control(Kind.WELCOME, welcome()))
            kept = raw
    outcomes = [attempt.exception(LIMIT_S) for attempt in attempts]
    assert outcomes.count(None) == 1
    assert any(isinstance(outcome, sig.InvalidArgument) for outcome in outcomes)
    leave(client, kept)


def test_a_link_that_cannot_begin_leaves_nothing(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def no_more(self: threading.Thread) -> None:
        if self.name == "sig-read":
            raise RuntimeError("can't start new thread")
        start(self)

    client = sig.ClientRouter(server.url)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start"):
            client.open()
    assert client.state == "connecting"
    server.accept().sock.close()
    opening = aside(client.open)  # and it may be tried again
    raw = server.welcome()
    opening.result(LIMIT_S)
    leave(client, raw)


# -- handlers ------------------------------------------------------------------------------------


def test_an_owner_answers_each_request_once(server: RawServer) -> None:
    client, raw = server.connected()
    holding(client, raw, {"double": lambda params: params * 2})
    raw.send(pack_request(Request(3, 9, 1000, 1, "double", b"21"), route=8))
    answer = raw.read(Kind.REPLY)
    assert (answer.route, answer.flags, unpack_reply(answer)) == (8, 0, Reply(3, 9, b"42"))
    # Whose time was over on its way here is not begun.
    raw.send(pack_request(Request(3, 10, 0, 1, "double", b"21"), route=8))
    answer = raw.read(Kind.REPLY)
    assert answer.flags == REPLY_ERR
    assert b"request_timeout" in answer.body
    leave(client, raw)


def test_a_result_is_what_the_server_says(server: RawServer) -> None:
    client, raw = server.connected()
    asking = aside(lambda: client.remove_sender("other"))
    raw.send(pack(Kind.RESULT, encode_control(Result(True)), route=raw.read(Kind.CALL).route))
    assert asking.result(LIMIT_S) is True
    leave(client, raw)


# -- interrupts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", ["time.sleep(60)", "threading.Event().wait(60)", "sys.stdin.readline()"])
def test_the_main_thread_is_interrupted_wherever_it_waits(waiting: str) -> None:
    program = f"""
import sys, threading, time
from sig.drivers.threads import interrupt_main
begun, over = threading.Event(), threading.Event()
def interrupt():
    begun.wait(20)
    interrupt_main()
    while not over.wait(5):  # it came just before the system call: Python looks for signals before and behind it only
        interrupt_main()
threading.Thread(target=interrupt, daemon=True).start()
try:
    begun.set()
    {waiting}
except KeyboardInterrupt:
    over.set()
    print("interrupted")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "interrupted\n"  # with its standard input still open


def test_a_program_that_ignores_ctrl_c_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt_main()
    finally:
        signal.signal(signal.SIGINT, before)
