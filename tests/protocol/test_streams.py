"""Answers in parts through a server: real ends or raw ones, and pipes between them."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from protocol.pairs import End, Raw, World, byte_by_byte

from sig.constants import STREAM_WINDOW_BYTES, Limits
from sig.errors import MessageTooBig, Overloaded, RequestFailed
from sig.messages import AddSender, OpenRequests, encode_control
from sig.protocol.answering import RequestArrived, RequestDropped
from sig.protocol.bodies import (
    Cancel,
    Credit,
    Reply,
    Request,
    Unit,
    pack_credit,
    pack_reply,
    pack_request,
    unpack_cancel,
    unpack_credit,
    unpack_request,
)
from sig.protocol.frames import REPLY_END, REPLY_LENS, REPLY_MORE, REQUEST_PARTS, Kind, pack
from sig.protocol.parts import PART_BYTES, PartsIn, PartsOut, pack_parts


class Asked(NamedTuple):
    """A stream, at both of its ends."""

    end: End
    number: int
    taken: PartsIn
    arrived: RequestArrived

    @property
    def out(self) -> PartsOut:
        assert self.arrived.parts is not None
        return self.arrived.parts

    def give(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.out.write(payload)
        self.end.world.settle()

    def take(self) -> list[object]:
        found = []
        while (some := self.taken.take()) is not None:
            found += some
        return found

    def give_back(self) -> None:
        self.end.core.asking.give_back(self.number, self.taken)
        self.end.world.settle()


def ask(requester: End, method: str = "m") -> tuple[int, PartsIn]:
    taken = PartsIn(lambda: None)
    number = requester.core.asking.request(
        "s", method, b"null", now=0.0, deadline=math.inf, hops=1, done=taken.finish, parts=taken
    )
    requester.world.settle()
    return number, taken


def stream(owner: End, requester: End) -> Asked:
    number, taken = ask(requester)
    return Asked(requester, number, taken, owner.asked()[-1])


def two(world: World) -> tuple[End, End]:
    owner, requester = world.client(), world.client()
    owner.add("s", requests=["m"])
    return owner, requester


@pytest.mark.parametrize("cut", [World().cut, byte_by_byte])
def test_parts_come_in_order_with_the_result_behind_them(cut: object) -> None:
    owner, requester = two(World(cut=cut))  # type: ignore[arg-type]  # one of two functions
    asked = stream(owner, requester)
    assert asked.arrived.deadline == math.inf
    asked.give(b"1", b"2")
    asked.give(b"3")
    asked.out.write(b"4")
    owner.core.answering.reply(asked.arrived, b"5", None)
    owner.world.settle()
    assert asked.take() == [1, 2, 3, 4]
    assert (asked.taken.over, asked.taken.result, asked.taken.error) == (True, b"5", None)
    assert requester.connection.streams == {}
    assert (requester.connection.called, owner.connection.asked_by) == ({}, {})


def test_a_handler_that_fails_ends_the_stream_behind_its_parts() -> None:
    owner, requester = two(World())
    asked = stream(owner, requester)
    asked.out.write(b"1")
    owner.core.answering.reply(asked.arrived, None, RequestFailed("no more paper"))
    owner.world.settle()
    assert asked.take() == [1]
    assert str(asked.taken.error) == "no more paper"
    assert requester.connection.streams == {}


def test_credit_goes_from_end_to_end() -> None:
    owner, requester = two(World())
    asked = stream(owner, requester)
    while asked.out.room:
        asked.out.write(b"0")
    owner.world.settle()
    count = len(asked.take())
    assert count == math.ceil(STREAM_WINDOW_BYTES / (1 + PART_BYTES))
    assert not asked.out.room
    asked.give_back()
    assert asked.out.room
    (there,) = requester.connection.streams.values()
    assert there.room == STREAM_WINDOW_BYTES


def test_whoever_leaves_is_told_of_to_the_owner_and_what_comes_goes_nowhere() -> None:
    owner, requester = two(World())
    asked = stream(owner, requester)
    requester.core.asking.give_up(asked.number)
    requester.world.settle()
    assert owner.news[-1] == RequestDropped(asked.arrived.request.peer, asked.number)
    asked.give(b"1", b"2")
    assert asked.take() == []
    assert requester.connection.called, "the slot is held until the handler has ended"
    owner.core.answering.reply(asked.arrived, b"null", None)
    owner.world.settle()
    assert not requester.connection.called


def test_a_sender_that_leaves_ends_its_streams_and_no_others() -> None:
    world = World()
    owner, requester = two(world)
    owner.add("other", requests=["m"])
    asked = stream(owner, requester)
    taken = PartsIn(lambda: None)
    requester.core.asking.request("other", "m", b"1", now=0, deadline=math.inf, hops=1, done=taken.finish, parts=taken)
    world.settle()
    owner.remove("s")
    assert "left (closed) before it answered" in str(asked.taken.error)
    assert owner.news[-1] == RequestDropped(asked.arrived.request.peer, asked.number)
    asked.give(b"1")
    assert not taken.over
    (there,) = requester.connection.streams.values()
    assert there.route.sender == "other"


def test_a_requester_that_goes_is_told_of_to_the_owner() -> None:
    world = World()
    owner, requester = two(world)
    asked = stream(owner, requester)
    world.lose(requester)
    assert owner.news[-1] == RequestDropped(asked.arrived.request.peer, None)
    asked.give(b"1")
    assert not owner.core.closed


def test_one_client_may_take_so_many_at_a_time() -> None:
    world = World()
    owner = world.client(limits=Limits())
    owner.add("s", requests=["m"])
    world.server.limits = Limits.of(requests_out=2)
    requester = world.client()
    for _ in range(2):
        _, taken = ask(requester)
        assert not taken.over
    _, taken = ask(requester)
    assert isinstance(taken.error, Overloaded)
    assert str(taken.error) == "a client may take 2 streams at a time: end one first"


def test_all_that_may_wait_for_a_client_is_less_than_what_costs_it_its_link() -> None:
    world = World(link_cut_bytes=5 * STREAM_WINDOW_BYTES)
    owner, requester = two(world)
    asked = [stream(owner, requester) for _ in range(2)]
    _, taken = ask(requester)
    assert isinstance(taken.error, Overloaded)
    for one in asked:
        while one.out.room:
            one.out.write(b"0" * 1000)
    world.carry_up(owner)
    assert requester.connection._reply_bytes < world.limits.link_cut_bytes
    world.settle()
    assert not requester.core.closed


# -- ends that break the rules -------------------------------------------------------------------


def raw_owner(world: World) -> tuple[Raw, int]:
    """Holds `s`; and the number of its requests."""
    owner = world.raw()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    return owner, next(frame.route for frame in owner.read() if frame.kind == Kind.ROUTE)


def request_of(owner: Raw) -> Request:
    frame = owner.read()[-1]
    assert (frame.kind, frame.flags) == (Kind.REQUEST, REQUEST_PARTS)
    return unpack_request(frame)


def parts(request: Request, route: int, *payloads: bytes, cost: int | None = None) -> bytes:
    size = sum(map(len, payloads)) + PART_BYTES * len(payloads) if cost is None else cost
    return pack_parts(payloads, route=route, peer=request.peer, corr=request.corr, lines=True, cost=size)


def test_an_owner_that_gives_without_credit_loses_its_link() -> None:
    world = World()
    owner, route = raw_owner(world)
    requester = world.client()
    _, taken = ask(requester)
    request = request_of(owner)
    owner.send(parts(request, route, b"1", cost=STREAM_WINDOW_BYTES))
    assert not owner.connection.closed
    owner.send(parts(request, route, b"2"))
    assert "gives more parts on route" in owner.last_words()
    world.settle()
    assert taken.take() == [1]
    assert taken.over
    assert not requester.core.closed


def test_an_owner_that_names_too_small_a_cost_loses_its_link() -> None:
    world = World()
    owner, route = raw_owner(world)
    ask(world.client())
    owner.send(parts(request_of(owner), route, b"12345", cost=28))
    assert owner.last_words() == "the client gave 29 bytes of parts at a cost of 28"


def test_parts_of_nobodys_go_nowhere() -> None:
    world = World()
    owner, route = raw_owner(world)
    requester = world.client()
    answer, _ = requester.request("s", "m")
    world.settle()
    (frame,) = [frame for frame in owner.read() if frame.kind == Kind.REQUEST]
    request = unpack_request(frame)
    owner.send(parts(request, route, b"1"), pack_reply(Reply(request.peer, request.corr, b"2"), route=route))
    world.settle()
    assert answer.ok == b"2"


def test_parts_for_another_senders_stream_go_nowhere() -> None:
    world = World()
    owner, _ = raw_owner(world)
    requester = world.client()
    _, taken = ask(requester)
    request = request_of(owner)
    owner.send(pack(Kind.CALL, encode_control(AddSender("t", [], ["m"])), route=2))
    other = next(frame.route for frame in owner.read() if frame.kind == Kind.ROUTE)
    owner.send(parts(request, other, b"1"))
    world.settle()
    assert taken.take() is None
    assert not owner.connection.closed


def raw_requester(world: World) -> tuple[Raw, int]:
    requester = world.raw()
    requester.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    return requester, next(frame.route for frame in requester.read() if frame.kind == Kind.ROUTE)


def open_stream(corr: int, route: int) -> bytes:
    return pack_request(Request(0, corr, 1000, 1, "m", b"null"), route=route, flags=REQUEST_PARTS)


@pytest.mark.parametrize("amount", [0, 1, 1 << 63])
def test_credit_for_what_has_not_come_costs_who_gives_it_the_link(amount: int) -> None:
    world = World()
    owner = world.client()
    owner.add("s", requests=["m"])
    requester, route = raw_requester(world)
    requester.send(open_stream(7, route), pack_credit(Credit(amount, Unit.PARTS, 0, 7), route=route))
    assert requester.last_words() == f"the client gave a credit of {amount}, which is not what it had taken"
    assert not owner.core.closed


def test_credit_for_what_is_no_stream_has_no_effect() -> None:
    world = World()
    owner, _ = raw_owner(world)
    requester, route = raw_requester(world)
    requester.send(
        open_stream(7, route),
        pack_credit(Credit(1, Unit.PARTS, 0, 8), route=route),
        pack_credit(Credit(1, Unit.BYTES, 0, 7), route=route),
        pack_credit(Credit(1, Unit.PARTS, 0, 7), route=route + 100),
    )
    assert [frame.kind for frame in owner.read()] == [Kind.REQUEST]
    assert not requester.connection.closed


def test_credit_is_stamped_with_who_gives_it() -> None:
    world = World()
    owner, route = raw_owner(world)
    requester, theirs = raw_requester(world)
    requester.send(open_stream(7, theirs))
    request = request_of(owner)
    owner.send(parts(request, route, b"1"))
    requester.send(pack_credit(Credit(65, Unit.PARTS, 12345, 7), route=theirs))
    (frame,) = owner.read()
    assert unpack_credit(frame) == Credit(65, Unit.PARTS, request.peer, 7)


def test_a_number_that_is_in_use_costs_who_uses_it_the_link() -> None:
    world = World()
    owner = world.client()
    owner.add("s", requests=["m"])
    requester, route = raw_requester(world)
    requester.send(open_stream(7, route), open_stream(7, route))
    assert requester.last_words() == "the client asked for a stream under number 7, which is in use"


def test_an_owner_that_reads_nothing_costs_the_stream_and_not_its_link() -> None:
    world = World(link_drop_bytes=200)
    owner, route = raw_owner(world)
    requester, theirs = raw_requester(world)
    requester.send(open_stream(7, theirs))
    request = request_of(owner)
    owner.send(parts(request, route, *[b"1"] * 50))
    for _ in range(10):
        requester.send(pack_credit(Credit(1, Unit.PARTS, 0, 7), route=theirs))
    assert not owner.connection.closed
    replies = [frame for frame in requester.read() if frame.kind == Kind.REPLY]
    assert b"is asked more than it reads" in replies[-1].body
    assert requester.connection.streams == {}


# -- other codecs, and smaller frames ------------------------------------------------------------


def test_parts_are_put_into_the_codec_of_who_takes_them() -> None:
    world = World(codec=["json", "msgpack"])
    owner = world.client(codec="json")
    owner.add("s", requests=["m"])
    requester = world.raw(["msgpack"])
    requester.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    route = next(frame.route for frame in requester.read() if frame.kind == Kind.ROUTE)
    requester.send(pack_request(Request(0, 7, 1000, 1, "m", b"\xc0"), route=route, flags=REQUEST_PARTS))
    world.settle()
    (arrived,) = owner.asked()
    assert arrived.parts is not None
    assert arrived.request.payload == b"null"
    for payload in (b"1", b"2"):
        arrived.parts.write(payload)
    world.settle()
    owner.core.answering.reply(arrived, b"3", None)
    world.settle()
    some, end = requester.read()
    assert (some.flags, some.count, some.data[12 + 12 + 8 :]) == (REPLY_MORE | REPLY_LENS, 2, b"\x01\x02")
    assert int.from_bytes(some.body[8:12], "little") == 2 * (1 + PART_BYTES), "the cost is that of where it came from"
    assert (end.flags, end.body[8:]) == (REPLY_END, b"\x03")


def cancelled(owner: End, asked: Asked) -> bool:
    return RequestDropped(asked.arrived.request.peer, asked.number) in owner.news


def narrow(world: World) -> tuple[End, End]:
    owner = world.client()
    owner.add("s", requests=["m"])
    return owner, world.client(limits=Limits.of(max_frame_bytes=1000))


def test_a_client_that_takes_small_frames_gets_the_parts_in_several() -> None:
    world = World()
    owner, requester = narrow(world)
    asked = stream(owner, requester)
    payloads = [b'"%s"' % (b"x" * size) for size in range(0, 900, 60)]
    asked.give(*payloads)
    assert asked.take() == ["x" * size for size in range(0, 900, 60)]
    assert not requester.core.closed
    (there,) = requester.connection.streams.values()
    assert there.room == STREAM_WINDOW_BYTES - sum(map(len, payloads)) - PART_BYTES * len(payloads)


def test_a_part_that_is_too_large_for_who_takes_it_ends_the_stream() -> None:
    world = World()
    owner, requester = narrow(world)
    asked = stream(owner, requester)
    asked.give(b"1")
    asked.give(b'"%s"' % (b"x" * 2000))
    assert asked.take() == [1]
    assert isinstance(asked.taken.error, MessageTooBig)
    assert "a part of what sender 's' gives takes 2014 bytes, and this client accepts 1000" in str(asked.taken.error)
    assert cancelled(owner, asked)
    assert requester.connection.streams == {}


def test_what_no_codec_reads_ends_the_stream() -> None:
    world = World(codec=["json", "msgpack"])
    owner, route = raw_owner(world)
    requester = world.raw(["msgpack"])
    requester.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    theirs = next(frame.route for frame in requester.read() if frame.kind == Kind.ROUTE)
    for corr, payloads in ((7, [b"{"]), (8, [b"1\n2", b"3"])):
        requester.send(pack_request(Request(0, corr, 1000, 1, "m", b"\xc0"), route=theirs, flags=REQUEST_PARTS))
        owner.send(parts(request_of(owner), route, *payloads))
        (told,) = requester.read()
        assert b"invalid_data" in told.body
        (frame,) = owner.read()
        assert unpack_cancel(frame) == Cancel(requester.connection.number, corr)
    assert not owner.connection.closed


def test_frames_of_parts_that_are_malformed_cost_the_owner_its_link_or_the_stream() -> None:
    world = World(codec=["json", "msgpack"])
    owner, route = raw_owner(world)
    requester = world.raw(["msgpack"])
    requester.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    theirs = next(frame.route for frame in requester.read() if frame.kind == Kind.ROUTE)
    requester.send(pack_request(Request(0, 7, 1000, 1, "m", b"\xc0"), route=theirs, flags=REQUEST_PARTS))
    request = request_of(owner)
    head = request.peer.to_bytes(4, "little") + request.corr.to_bytes(4, "little")
    owner.send(pack(Kind.REPLY, head + (1000).to_bytes(4, "little"), flags=REPLY_MORE, count=0, route=route))
    (told,) = requester.read()
    assert b"without parts" in told.body
    assert not owner.connection.closed
    requester.send(pack_request(Request(0, 8, 1000, 1, "m", b"\xc0"), route=theirs, flags=REQUEST_PARTS))
    request = request_of(owner)
    head = request.peer.to_bytes(4, "little") + request.corr.to_bytes(4, "little")
    owner.send(pack(Kind.REPLY, head, flags=REPLY_MORE, count=1, route=route))
    assert "must have at least 12" in owner.last_words()


def test_where_several_share_a_name_the_stream_of_one_comes_on_the_route_of_all() -> None:
    world = World()
    packed, plain, requester = world.client(codec="msgpack"), world.client(), world.client()
    for owner in (packed, plain):
        owner.ask(AddSender("s", requests=["m"], shared=True))
    for owner, payloads in ((packed, (b"\x01", b"\x02")), (plain, (b"1", b"2"))):
        asked = stream(owner, requester)
        asked.give(*payloads)
        assert asked.take() == [1, 2]
        asked.give_back()
        (there,) = requester.connection.streams.values()
        assert there.room == STREAM_WINDOW_BYTES
        owner.core.answering.reply(asked.arrived, payloads[0], None)
        world.settle()
        assert (asked.taken.over, asked.taken.result) == (True, b"1")
        # Else the first would be asked again, having answered.
        requester.core.asking.request(
            "s", "m", b"null", now=0.0, deadline=math.inf, hops=1, done=lambda value, error: None
        )
        world.settle()
