"""Payloads in another codec: each receiver gets what its codec can carry, in order, and the rest is told as lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Raw, World
from reprs import Reprs

from sig.codecs import JSON, MSGPACK, Codec, as_codec
from sig.constants import Limits
from sig.errors import InvalidData, MessageTooBig
from sig.messages import (
    AddSender,
    Call,
    Hello,
    Listen,
    OpenRequests,
    Route,
    decode_control,
    decode_error,
    encode_control,
)
from sig.protocol.bodies import (
    Reply,
    Request,
    pack_reply,
    pack_request,
    unpack_lost,
    unpack_reply,
    unpack_request,
)
from sig.protocol.bridge import Bridge, Part
from sig.protocol.events import pack_batch, pack_events, unpack_events
from sig.protocol.fitting import lengths
from sig.protocol.frames import REPLY_ERR, REPLY_MORE, Frame, Kind, pack

LIMIT = 1 << 20
TIME_US = 1_700_000_000_000_000


REPRS = as_codec(Reprs())
CODECS: dict[str, Codec] = {"json": JSON, "msgpack": MSGPACK, "reprs": REPRS}


def frames(source: Codec, *batches: Sequence[tuple[int, bytes]], lens: bool = False) -> list[Frame]:
    """One frame for each batch of (route, payload)."""
    made: list[Frame] = []
    for items in batches:
        (data,) = pack_events(items, lens=lens, lines=source.lines, max_frame_bytes=LIMIT, time_us=TIME_US)
        made.append(Frame.of(data))
    return made


def told(parts: Sequence[Part], target: Codec) -> list[tuple[int, object]]:
    """Event by event: the route, and the value, or why it is missing as often as it says."""
    found: list[tuple[int, object]] = []
    for part in parts:
        if part.data is None:
            found += [(route, part.reason) for route, count in part.counts for _ in range(count)]
            continue
        frame = Frame.of(part.data)
        batch = unpack_events(frame)
        assert batch.time_us == TIME_US
        assert target.lines or batch.lens is not None
        found += [(route, target.decode(payload)) for route, payload in payloads(frame, target)]
        assert sum(count for _, count in part.counts) == frame.count
    return found


def payloads(frame: Frame, codec: Codec) -> list[tuple[int, bytes]]:
    """Each with its route; newlines between them are not theirs."""
    batch = unpack_events(frame)
    sizes = lengths(batch, frame.count, lines=codec.lines)
    assert sizes is not None
    routes = batch.routes or (frame.route,) * frame.count
    found: list[tuple[int, bytes]] = []
    start = 0
    for route, size in zip(routes, sizes, strict=True):
        payload = batch.payloads[start : start + size]
        found.append((route, payload.removesuffix(b"\n") if codec.lines else payload))
        start += size
    return found


# -- events --------------------------------------------------------------------------------------


def test_all_frames_of_a_run_become_one() -> None:
    run = frames(JSON, [(5, b"1"), (5, b"[2]")], [(6, b'"3"')], [(5, b"4"), (6, b"5")])
    parts = list(Bridge(Limits()).events(run, JSON, MSGPACK))
    assert [part.counts for part in parts] == [((5, 3), (6, 2))]
    assert told(parts, MSGPACK) == [(5, 1), (5, [2]), (6, "3"), (5, 4), (6, 5)]


def test_what_one_codec_says_and_the_other_cannot_is_lost_alone_in_its_place() -> None:
    values: list[object] = [1, 2**70, 2**64, b"\x00", 2.5]
    run = frames(REPRS, [(5, REPRS.encode(value)) for value in values])
    parts = list(Bridge(Limits()).events(run, REPRS, MSGPACK))
    assert [part.counts for part in parts] == [((5, 1),), ((5, 2),), ((5, 2),)]
    assert told(parts, MSGPACK) == [(5, 1), (5, "codec"), (5, "codec"), (5, b"\x00"), (5, 2.5)]


@pytest.mark.parametrize("lens", [True, False])
def test_of_a_batch_that_cannot_be_read_those_are_lost_that_cannot(lens: bool) -> None:
    run = frames(JSON, [(5, b"1"), (5, b"{"), (6, b"2"), (5, b"\xff"), (5, b"3")], [(5, b"nan")], [(5, b"4")])
    run += frames(JSON, [(7, b"["), (7, b"5")], lens=lens)
    found = told(list(Bridge(Limits()).events(run, JSON, MSGPACK)), MSGPACK)
    assert found == [
        (5, 1), (5, "codec"), (6, 2), (5, "codec"), (5, 3), (5, "codec"), (5, 4), (7, "codec"), (7, 5),
    ]  # fmt: skip


def test_a_batch_that_nobody_can_take_apart_is_lost_as_a_whole() -> None:
    good = Frame.of(pack_batch(5, [b"1", b"2"], lens=False, lines=True, time_us=TIME_US))
    three = Frame(good.kind, 0, 3, good.route, good.data)
    assert list(Bridge(Limits()).events([three], JSON, MSGPACK)) == [Part(None, ((5, 3),), "codec")]
    packed = Frame.of(pack_batch(5, [b"\x01", b"\n"], lens=False, lines=True, time_us=TIME_US))
    assert list(Bridge(Limits()).events([packed], MSGPACK, JSON)) == [Part(None, ((5, 2),), "codec")]


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_what_is_nested_too_deeply_is_lost_and_its_neighbours_are_not(codec: Codec) -> None:
    other = MSGPACK if codec is JSON else JSON
    deep = b"[" * 100_000 + b"]" * 100_000 if codec is JSON else b"\x91" * 100_000 + b"\x01"
    run = frames(codec, [(5, codec.encode(1)), (5, deep), (5, codec.encode(2))])
    assert told(list(Bridge(Limits()).events(run, codec, other)), other) == [(5, 1), (5, "codec"), (5, 2)]


def test_what_is_larger_than_the_limit_is_not_looked_into() -> None:
    bridge = Bridge(Limits.of(max_bridged_bytes=100))
    run = frames(JSON, [(5, b"1" * 60), (5, b'"%s"' % (b"2" * 99)), (5, b"3" * 60)], [(5, b'"%s"' % (b"4" * 98))])
    found = told(list(bridge.events(run, JSON, REPRS)), REPRS)
    assert found == [(5, int("1" * 60)), (5, "too_big"), (5, int("3" * 60)), (5, "4" * 98)]


def test_what_becomes_larger_than_a_frame_is_lost() -> None:
    bridge = Bridge(Limits.of(max_frame_bytes=1000))
    run = frames(MSGPACK, [(5, MSGPACK.encode("\0" * 80)), (5, MSGPACK.encode("\0" * 90))])
    # Each of these characters takes six bytes in JSON, and 488 are left beside the framing.
    assert told(list(bridge.events(run, MSGPACK, JSON)), JSON) == [(5, "\0" * 80), (5, "too_big")]


def test_what_becomes_larger_than_a_frame_together_is_several() -> None:
    bridge = Bridge(Limits.of(max_frame_bytes=1000))
    run = frames(MSGPACK, [(5, MSGPACK.encode("\0" * 70))] * 5)
    parts = list(bridge.events(run, MSGPACK, JSON))
    assert len(parts) > 1
    assert told(parts, JSON) == [(5, "\0" * 70)] * 5


def test_numbers_and_bytes_become_what_the_codecs_promise() -> None:
    values: list[object] = [b"\x00\xff", float("nan"), {1: None}, msgspec.msgpack.Ext(5, b"x")]
    run = frames(MSGPACK, [(5, MSGPACK.encode(value)) for value in values])
    found = told(list(Bridge(Limits()).events(run, MSGPACK, JSON)), JSON)
    assert found == [(5, "AP8="), (5, None), (5, {"1": None}), (5, "codec")]


# -- requests ------------------------------------------------------------------------------------


def test_parameters_and_answers_change_their_codec_and_nothing_else() -> None:
    bridge = Bridge(Limits())
    asked = Request(9, 4, 30_000, 2, "read", b'{"n":[1,null]}')
    moved = bridge.request(Frame.of(pack_request(asked, route=7)), JSON, MSGPACK)
    found = unpack_request(moved)
    assert MSGPACK.decode(found.payload) == {"n": [1, None]}
    assert moved.route == 7
    assert msgspec.structs.replace(found, payload=asked.payload) == asked
    reply = Frame.of(pack_reply(Reply(9, 4, MSGPACK.encode(b"\x01")), route=7, flags=REPLY_MORE))
    back = bridge.reply(reply, MSGPACK, JSON, "s")
    assert (back.route, back.flags) == (7, REPLY_MORE)
    assert unpack_reply(back) == Reply(9, 4, b'"AQ=="')


@pytest.mark.parametrize(
    ("payload", "error", "sentence"),
    [
        (JSON.encode(2**70), InvalidData, "from codec 'json' into 'msgpack': MessagePack cannot carry this int"),
        (b"{", InvalidData, "from codec 'json' into 'msgpack': the payload is not JSON that can be read"),
        (b"1" * 101, MessageTooBig, r"101 bytes are over its limit of 100 \(max_bridged_bytes\); send it in parts"),
    ],
)
def test_what_cannot_be_put_into_the_other_codec_is_told_in_a_sentence(
    payload: bytes, error: type[Exception], sentence: str
) -> None:
    bridge = Bridge(Limits.of(max_bridged_bytes=100))
    asked = Frame.of(pack_request(Request(9, 4, 30_000, 2, "read", payload), route=7))
    with pytest.raises(error, match=f"the server cannot put the parameters of request 'read' .*{sentence}"):
        bridge.request(asked, JSON, MSGPACK)
    reply = Frame.of(pack_reply(Reply(9, 4, payload), route=7))
    with pytest.raises(error, match=f"the server cannot put the answer of sender 's' .*{sentence}"):
        bridge.reply(reply, JSON, MSGPACK, "s")


# -- a server ------------------------------------------------------------------------------------


class Client:
    """Somebody let in who speaks these codecs, and is played by the test."""

    def __init__(self, world: World, *codecs: str, max_frame_bytes: int | None = None) -> None:
        self.world = world
        self.raw = Raw(world, hello=Hello([1], list(codecs), max_frame_bytes=max_frame_bytes))
        self.routes: dict[int, Route] = {}
        self.came: list[tuple[str | None, object]] = []
        """Event by event: its name, and the payload, or why it is missing."""
        self.pieces = 0
        self.read()

    def say(self, number: int, message: Call) -> None:
        self.raw.send(pack(Kind.CALL, encode_control(message), route=number))

    def read(self) -> list[Frame]:
        """What is left of what has come, when events, losses and routes have been taken."""
        left: list[Frame] = []
        for frame in self.raw.read():
            if frame.kind == Kind.ROUTE:
                self.routes[frame.route] = decode_control(Route, frame.body)
            elif frame.kind == Kind.EVENT:
                self.pieces += 1
                first = (unpack_events(frame).routes or (frame.route,))[0]
                codec = CODECS[self.routes[first].codec]
                self.came += [(self.routes[route].event, payload) for route, payload in payloads(frame, codec)]
            elif frame.kind == Kind.LOST:
                lost = unpack_lost(frame)
                self.came += [(self.routes[frame.route].event, lost.reason)] * (lost.missed or 0)
            else:
                left.append(frame)
        return left

    def listen(self, *events: str | None) -> None:
        for number, event in enumerate(events, 1):
            self.say(number, Listen(number, "s", event))
        self.read()

    def own(self, *events: str) -> None:
        """Hold sender `s`, which answers, and which has these events."""
        self.say(1, AddSender("s", list(events), [None]))
        self.read()
        self.numbers = {route.event: number for number, route in self.routes.items()}

    def trigger(self, *batches: Sequence[tuple[str, bytes]], lens: bool = False) -> None:
        """One frame for each, all of them in one read."""
        lines = CODECS[next(iter(self.routes.values())).codec].lines
        made: list[bytes] = []
        for batch in batches:
            items = [(self.numbers[event], payload) for event, payload in batch]
            made += pack_events(items, lens=lens, lines=lines, max_frame_bytes=LIMIT)
        self.raw.send(*made)


EVERY = ["json", Reprs()]  # and MessagePack, which comes along


def test_a_client_is_told_in_which_codec_it_will_be_spoken_to() -> None:
    world = World(codec=EVERY)
    owner = Client(world, "yaml", "msgpack", "json")
    owner.own("e")
    assert {route.codec for route in owner.routes.values()} == {"msgpack"}
    for codecs, told in [
        (("json", "msgpack"), "msgpack"),
        (("json",), "json"),
        (("reprs", "json"), "reprs"),
        (("yaml", "json", "reprs"), "json"),
    ]:
        client = Client(world, *codecs)
        client.listen("e")
        owner.trigger([("e", b"\x01")])
        client.read()
        assert [route.codec for route in client.routes.values()] == [told]
        assert client.came == [("e", CODECS[told].encode(1))]


def test_receivers_with_the_same_codec_share_what_was_put_into_it() -> None:
    world = World(codec=EVERY)
    owner = Client(world, "json")
    owner.own("e", "f")
    plain, packed, printed = ([Client(world, codec) for _ in range(3)] for codec in ("json", "msgpack", "reprs"))
    for client in (*plain, *packed, *printed):
        client.listen("e", "f")
    owner.trigger([("e", b"0"), ("f", b"0")])
    for client in (*plain, *packed, *printed):
        client.read()
    owner.trigger([("e", b"1")], [("f", b"2"), ("e", b"[3]")])
    entries = [[client.raw.connection.outbox.take() for client in clients] for clients in (plain, packed, printed)]
    for alike in entries:
        assert alike[0] is not None
        assert alike[0] is alike[1] is alike[2]
        assert alike[0].counts == ((owner.numbers["e"], 2), (owner.numbers["f"], 1))
    assert len({entry.item for [entry, *_] in entries if entry is not None}) == 3


def test_each_event_is_put_into_a_codec_once_whoever_hears_which(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Reprs):
        name = "counting"
        decoded = 0

        def decode(self, data: bytes) -> object:
            self.decoded += 1
            return super().decode(data)

    counting = Counting()
    monkeypatch.setitem(CODECS, "counting", as_codec(counting))
    world = World(codec=[counting, "json"])
    owner = Client(world, "counting")
    owner.own("e", "f", "g")
    hearing = [Client(world, "json") for _ in range(4)]
    for client, events in zip(hearing, [("e",), ("f",), ("e", "f"), ("e", "g")], strict=True):
        client.listen(*events)
    batch = [("e", b"1"), ("f", b"(2,)"), ("e", b"b'3'"), ("f", b"?"), ("g", b"4")]
    owner.trigger(batch)
    assert counting.decoded == 5 + 4  # all together up to what cannot be read; then one by one, what had been too
    for client in hearing:
        client.read()
    assert [client.came for client in hearing] == [
        [("e", b"1"), ("e", b'"Mw=="')],
        [("f", b"[2]"), ("f", "codec")],
        [("e", b"1"), ("f", b"[2]"), ("e", b'"Mw=="'), ("f", "codec")],
        [("e", b"1"), ("e", b'"Mw=="'), ("g", b"4")],
    ]


def test_who_has_the_codec_gets_the_bytes_that_came_and_nobody_looks_at_them() -> None:
    world = World(codec=EVERY)
    owner = Client(world, "json")
    owner.own("e")
    client, other = Client(world, "msgpack", "json"), Client(world, "msgpack")
    client.listen("e")
    other.listen("e")
    owner.trigger([("e", b"{ what is this? }")])
    client.read()
    other.read()
    assert client.came == [("e", b"{ what is this? }")]
    assert other.came == [("e", "codec")]
    assert (client.raw.connection.missed, other.raw.connection.missed) == (0, 1)


def test_what_a_receiver_cannot_take_in_its_codec_is_too_big_for_it_alone() -> None:
    world = World()
    owner = Client(world, "msgpack")
    owner.own("e")
    small, large, direct = (
        Client(world, "json", max_frame_bytes=1000),
        Client(world, "json"),
        Client(world, "msgpack", max_frame_bytes=1000),
    )
    for client in (small, large, direct):
        client.listen("e")
    values = [1, "\0" * 300, 2]
    owner.trigger([("e", MSGPACK.encode(value)) for value in values])
    for client in (small, large, direct):
        client.read()
    assert small.came == [("e", b"1"), ("e", "too_big"), ("e", b"2")]
    assert large.came == [("e", JSON.encode(value)) for value in values]
    assert direct.came == [("e", MSGPACK.encode(value)) for value in values]
    assert (small.raw.connection.missed, large.raw.connection.missed) == (1, 0)


def test_numbers_stay_right_over_what_is_lost() -> None:
    world = World()
    owner = Client(world, "json")
    owner.own("e")
    client = Client(world, "msgpack")
    client.listen("e")
    owner.trigger([("e", b"1")])
    owner.trigger([("e", b"?")], [("e", b"2")])
    client.read()
    assert client.came == [("e", b"\x01"), ("e", "codec"), ("e", b"\x02")]
    late = Client(world, "msgpack")
    late.listen("e")
    owner.trigger([("e", b"3")])
    late.read()
    assert [route.next_seq for route in late.routes.values()] == [4]


def test_requests_are_made_and_answered_in_the_codec_of_each_end() -> None:
    world = World(codec=EVERY)
    owner = Client(world, "msgpack")
    owner.own("e")
    number = owner.numbers[None]
    for corr, codec in enumerate(("json", "reprs", "msgpack"), 1):
        client = Client(world, codec)
        client.say(1, OpenRequests("s"))
        client.read()
        assert client.routes[number].codec == codec
        value = {"n": 2**40}
        asked = Request(0, corr, 1000, 1, "read", CODECS[codec].encode(value))
        client.raw.send(pack_request(asked, route=number))
        (frame,) = owner.read()
        request = unpack_request(frame)
        assert MSGPACK.decode(request.payload) == value
        assert (request.peer, request.corr) == (client.raw.connection.number, corr)
        reply = Reply(request.peer, corr, MSGPACK.encode([1.5]))
        owner.raw.send(pack_reply(reply, route=number))
        (frame,) = client.read()
        assert unpack_reply(frame) == Reply(request.peer, corr, CODECS[codec].encode([1.5]))


def test_a_request_that_cannot_be_put_into_the_owners_codec_is_refused_and_never_arrives() -> None:
    world = World()
    owner = Client(world, "msgpack")
    owner.own("e")
    number = owner.numbers[None]
    client = Client(world, "json")
    client.say(1, OpenRequests("s"))
    client.read()
    client.raw.send(pack_request(Request(0, 3, 1000, 1, "read", JSON.encode(2**70)), route=number))
    assert owner.read() == []
    (frame,) = client.read()
    assert (frame.kind, frame.flags, frame.route, unpack_reply(frame).corr) == (Kind.REPLY, REPLY_ERR, number, 3)
    with pytest.raises(InvalidData, match="parameters of request 'read' from codec 'json' into 'msgpack'"):
        raise decode_error(unpack_reply(frame).payload)
    assert client.raw.connection.called == {}


def test_an_answer_that_cannot_be_put_into_the_requesters_codec_is_an_error_to_it() -> None:
    world = World()
    owner = Client(world, "json")
    owner.own("e")
    number = owner.numbers[None]
    client = Client(world, "msgpack")
    client.say(1, OpenRequests("s"))
    client.read()
    failure = encode_control({"code": "request_failed", "message": "no"})
    for payload, flags in ((JSON.encode(2**70), 0), (failure, REPLY_ERR)):
        client.raw.send(pack_request(Request(0, 3, 1000, 1, "read", b"\xc0"), route=number))
        (frame,) = owner.read()
        owner.raw.send(pack_reply(Reply(unpack_request(frame).peer, 3, payload), route=number, flags=flags))
    first, second = client.read()
    assert first.flags == second.flags == REPLY_ERR
    with pytest.raises(InvalidData, match="the answer of sender 's' from codec 'json' into 'msgpack'"):
        raise decode_error(unpack_reply(first).payload)
    assert unpack_reply(second).payload == failure  # an error is JSON whatever the codec
    assert client.raw.connection.called == {}


VALUES: list[object] = [
    None, 0, -1, 1.5, "text", "", [], [1, [2]], {"k": {"n": 1}}, 2**64, 2**70, b"", b"\x00\n\xff", (1, "two"), {3},
    {4: 5}, {"\n": "\n\n"}, float("nan"),
]  # fmt: skip
# Alone and beside others: in MessagePack, pieces that are nothing by themselves may be something together.
BROKEN = {
    "json": [b"", b"{", b"[1,", b"nul", b"\xff"],
    "msgpack": [b"\xc1", b"\x01\xc1"],
    "reprs": [b"", b"{", b"'", b"\xff"],
}
NAMES = sorted(CODECS)
EVENTS = ("a", "b", "c")
SPOKEN = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)
RECEIVERS = st.lists(
    st.tuples(SPOKEN, st.lists(st.sampled_from([*EVENTS, None]), min_size=1, max_size=2, unique=True)), max_size=5
)


def expected(payload: bytes, source: str, spoken: Sequence[str]) -> object:
    """What becomes of a payload, each taken by itself."""
    if source in spoken:
        return payload
    try:
        return CODECS[spoken[0]].encode(CODECS[source].decode(payload))
    except InvalidData:
        return "codec"


def in_places(came: Sequence[tuple[str | None, object]]) -> list[object]:
    """What is missing at one place is told by route, not event by event."""
    places: list[object] = []
    for missing, some in groupby(came, key=lambda item: item[1] == "codec"):
        events = list(some)
        places += [Counter(event for event, _ in events)] if missing else events
    return places


@given(
    st.sampled_from(NAMES),
    RECEIVERS,
    st.lists(
        st.lists(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 99)), min_size=1, max_size=5), max_size=4),
        max_size=3,
    ),
    st.booleans(),
)
def test_each_receiver_gets_what_its_codec_can_carry_in_order_and_knows_exactly_what_it_lacks(
    source: str,
    receivers: list[tuple[list[str], list[str | None]]],
    reads: list[list[list[tuple[str, int]]]],
    lens: bool,
) -> None:
    choice = BROKEN[source].copy()
    for value in VALUES:
        with suppress(InvalidData):
            choice.append(CODECS[source].encode(value))
    world = World(codec=EVERY)
    owner = Client(world, source)
    owner.own(*EVENTS)
    clients: list[Client] = []
    for spoken, events in receivers:
        clients.append(Client(world, *spoken))
        clients[-1].listen(*events)
    sent: list[tuple[str, bytes]] = []
    for read in reads:
        batches = [[(event, choice[index % len(choice)]) for event, index in batch] for batch in read]
        sent += [item for batch in batches for item in batch]
        owner.trigger(*batches, lens=lens)
    for client, (spoken, events) in zip(clients, receivers, strict=True):
        client.read()
        wanted = [(e, expected(payload, source, spoken)) for e, payload in sent if {e, None} & set(events)]
        assert in_places(client.came) == in_places(wanted)
        assert client.raw.connection.missed == sum(what == "codec" for _, what in wanted)
        assert not client.raw.connection.closed
