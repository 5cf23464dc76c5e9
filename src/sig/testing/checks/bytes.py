"""Bytes in bulk: whatever the pieces in which they move, and however slowly they are taken."""

from __future__ import annotations

import threading
from random import Random
from typing import Final

import sig
from sig.testing.place import LIMIT_S
from sig.testing.stage import Stage, becomes, same

_BULK: Final = "x" * 50_000
# So many of these are more than any system keeps for a link by itself.
_MOST: Final = 600


def large_and_small_keep_their_order(stage: Stage) -> None:
    """Events of any size come whole and in their order, however they are gathered and cut on the way."""
    server, client = stage.serve(), stage.connect()
    chance = Random(7)
    sizes = [chance.choice([0, 1, 10, 300, 5_000, 70_000]) + chance.randrange(50) for _ in range(300)]
    for here, there in ((server, client), (client, server)):
        heard = there.hear("s", "e")
        sender = here.add_sender("s", "e")
        sender.trigger("e", *([number, "é" * (size // 2)] for number, size in enumerate(sizes)))
        found = [(data[0], len(data[1])) for data in heard.wait(len(sizes)).data if isinstance(data, list)]
        same(found, [(number, size // 2) for number, size in enumerate(sizes)], "numbers and sizes that were heard")
        sender.remove()


def much_both_ways_at_once_does_not_get_stuck(stage: Stage) -> None:
    """Both ends may send more than the link holds, at the same time, and requests pass in between."""
    server, client = stage.serve(), stage.connect()
    ends = (server, "s", client), (client, "c", server)
    heard = [there.hear(name, "e") for _, name, there in ends]
    senders = [here.add_sender(name, "e", {"echo": lambda params: params}) for here, name, _ in ends]
    many = 60
    sending = [stage.aside(sender.trigger, "e", *[_BULK] * many) for sender in senders]
    asking = [stage.aside(there.request, name, "echo", _BULK) for _, name, there in ends]
    for each in sending:
        each.result(LIMIT_S)
    same([each.result(LIMIT_S) for each in asking], [_BULK] * 2, "answers")
    same([len(each.wait(many)) for each in heard], [many, many], "events that were heard")


def one_that_does_not_keep_up_loses_the_oldest_and_is_told_how_many(stage: Stage) -> None:
    """What a client cannot take is dropped, the oldest first; it is told how many, exactly, and in their place:
    accepted = delivered + missed. Its link lives."""
    server = stage.serve(link_drop_bytes=200_000)
    client = stage.connect(apart=True, listener_queue_events=100)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    story: list[int] = []  # numbers that came; below zero: so many that did not
    gaps: list[sig.Gap] = []

    def hear(info: sig.Info, data: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)  # and with it whatever calls listeners
        assert isinstance(data, list)
        story.append(data[0])
        if data[1] == "end":
            done.set()

    def lost(info: sig.Info, gap: sig.Gap) -> None:
        gaps.append(gap)
        story.append(-(gap.missed or 0))

    subscription = client.listen(hear, "s", "e", on_gap=lost)
    sender = server.add_sender("s", "e")
    sender.trigger("e", [1, ""])
    try:
        same(begun.wait(LIMIT_S), True, "the listener has begun")
        accepted = 1
        while accepted < _MOST and not _told(stage, accepted):
            accepted += 1
            sender.trigger("e", [accepted, _BULK])
            server.flush()  # so that nothing is lost but what the link does not take
        if not client.has_queue:
            same(server.stats().totals.missed > 0, True, "the server knows that its link takes no more")
        accepted += 1
        sender.trigger("e", [accepted, "end"])
        server.flush()
    finally:
        go_on.set()
    same(done.wait(LIMIT_S), True, "the newest event was heard")
    place = 0
    for step in story:
        if step < 0:
            place -= step
        else:
            place += 1
            same(step, place, "the event in this place")
    same(place, accepted, "delivered and missed, of those accepted")
    missed = sum(gap.missed or 0 for gap in gaps)
    same((missed > 0, {gap.reason for gap in gaps}), (True, {"slow"}), "something was missed, and why")
    # What a callback is given may count as received only when it has returned.
    counted = (missed, accepted - missed)
    becomes(lambda: (subscription.missed, subscription.received), counted, "missed and received, as counted")
    same(len(client.senders()), 1, "senders that the client sees: its link lives")


def _told(stage: Stage, accepted: int) -> bool:
    """Whether the client must have lost something by now: at the server, or in its own queue of a hundred."""
    server, client = stage.places[:2]
    return accepted % 20 == 0 and (accepted > 200 if client.has_queue else server.stats().totals.missed > 0)


def who_does_not_keep_up_delays_nobody(stage: Stage) -> None:
    """While one client takes nothing, the others get every event, and answers."""
    server = stage.serve(link_drop_bytes=200_000)
    slow, quick = stage.connect(apart=True, listener_queue_events=100), stage.other()
    begun, go_on = threading.Event(), threading.Event()

    def stuck(info: sig.Info, data: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)

    slow.listen(stuck, "s", "e")
    heard = quick.hear("s", "e")
    sender = server.add_sender("s", "e", {"echo": lambda params: params})
    sender.trigger("e", 0)
    same(begun.wait(LIMIT_S), True, "the listener has begun")
    for number in range(100):
        sender.trigger("e", _BULK)
        heard.wait(number + 2)
    same(quick.request("s", "echo", 5), 5, "the answer to the other")
    go_on.set()
