"""The blocking client's driver: answers find who waits, news its listeners, and every wait has an end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from net.aside import aside
from net.raw import LIMIT_S, Raw, RawServer, raw_server, result, welcome

import sig
from sig.carriers import TCPClient
from sig.constants import Limits
from sig.drivers.sockets import SocketLink
from sig.drivers.threads import Answer, interrupt_main
from sig.messages import (
    AddSender,
    Bye,
    Close,
    Error,
    Flush,
    Listen,
    Message,
    RemoveSender,
    Result,
    Route,
    decode_call,
    encode_control,
)
from sig.protocol.bodies import (
    Lost,
    Reply,
    Request,
    pack_lost,
    pack_reply,
    pack_request,
    unpack_cancel,
    unpack_reply,
    unpack_request,
)
from sig.protocol.events import pack_batch
from sig.protocol.frames import PREFACE, REPLY_ERR, Kind, pack


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


def test_an_answer_is_given_once() -> None:
    answer = Answer()
    assert not answer.wait(-1)
    answer.give(5)
    answer.give(6, ZeroDivisionError())
    assert answer.wait(0)
    assert answer.result() == 5


def test_who_are_given_the_same_error_each_raise_their_own() -> None:
    error = sig.ConnectionLost("gone")
    raised = []
    for _ in range(2):
        answer = Answer()
        answer.give(None, error)
        assert answer.wait(0)
        with pytest.raises(sig.ConnectionLost, match="gone") as caught:
            answer.result()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert error.__traceback__ is None


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

    from sig import arrivals

    monkeypatch.setattr(arrivals, "batch_decode", lambda codec, *rest: broken(*rest))
    raw.send(events(5, b"1"), events(5, b"2"))
    leave(client, raw)
    assert heard == [2]
    assert "a mistake of ours" in caplog.text


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
        def open(self, limits: Limits, timeout: float) -> SocketLink:
            link = super().open(limits, timeout)
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
begun = threading.Event()
threading.Thread(target=lambda: (begun.wait(20), interrupt_main()), daemon=True).start()
try:
    begun.set()
    {waiting}
except KeyboardInterrupt:
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
