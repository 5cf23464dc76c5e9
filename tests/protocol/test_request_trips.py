"""What is known arrives within one trip there and one back: counted, between cores, without a clock."""

from __future__ import annotations

from protocol.pairs import Answer, World
from protocol.serving import owner_of

from sig.errors import ConnectionLost, MethodNotFound, SenderNotConnected
from sig.protocol.answering import RequestDropped


def test_that_nobody_is_there_takes_one_trip_there_and_one_back() -> None:
    world = World()
    asker = world.client()
    answer, _ = asker.request("nobody", "m")
    world.carry_up(asker)
    assert answer.times == 0
    world.carry_down(asker)
    assert (answer.times, type(answer.error)) == (1, SenderNotConnected)


def test_that_there_is_no_such_method_takes_one_trip_to_its_owner_and_back() -> None:
    world, owner, asker = owner_of(requests=["m"])
    asker.request("s", "m")
    world.settle()  # the way is known from here on
    answer, _ = asker.request("s", "absent")
    world.carry_up(asker)
    world.carry_down(owner)
    owner.core.answering.reply(owner.asked()[-1], None, MethodNotFound("s", "absent"))
    world.carry_up(owner)
    assert answer.times == 0
    world.carry_down(asker)
    assert (answer.times, type(answer.error)) == (1, MethodNotFound)


def test_that_nobody_waits_takes_one_trip_to_who_works() -> None:
    world, owner, asker = owner_of(requests=["m"])
    _, give_up = asker.request("s", "m")
    world.settle()
    give_up()
    world.carry_up(asker)
    world.carry_down(owner)
    request = owner.asked()[0].request
    assert owner.news[-1] == RequestDropped(request.peer, request.corr)


def test_that_who_asked_has_gone_takes_one_trip_to_who_works() -> None:
    world, owner, asker = owner_of(requests=["m"])
    answer, _ = asker.request("s", "m")
    world.settle()
    number = asker.connection.number
    world.ends.remove(asker)
    world.server.disconnected(asker.connection, world.now)
    world.carry_down(owner)
    assert owner.news[-1] == RequestDropped(number, None)
    assert answer.times == 0


def test_that_the_sender_has_left_takes_one_trip_to_who_waits() -> None:
    world, owner, asker = owner_of(requests=["m"])
    answer: Answer
    answer, _ = asker.request("s", "m")
    world.settle()
    world.lose(owner)
    assert (answer.times, type(answer.error)) == (1, ConnectionLost)
    assert "unknown" in str(answer.error)
