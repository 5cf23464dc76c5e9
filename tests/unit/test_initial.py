"""A listener with `initial=True` is told the past first, then what came meanwhile, and then is as any other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unit.listeners import Heard

import sig
from sig.info import info_of


def test_what_is_triggered_while_the_past_is_told_follows_it(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"], retain=True)
    sender.trigger("e", "past")
    heard: list[object] = []

    def telling(info: sig.Info, data: object) -> None:
        heard.append((info.event, info.initial, data if info.event == "e" else None))
        if info.event == "#connect":
            sender.trigger("e", 1)
            sender.trigger("e", 2)
        if data == 1:
            sender.trigger("e", 3)

    router.listen(telling, "s", initial=True)
    sender.trigger("e", 4)
    assert heard == [
        ("#connect", True, None),
        ("e", True, "past"),
        ("e", False, 1),
        ("e", False, 2),
        ("e", False, 3),
        ("e", False, 4),
    ]


def test_after_the_past_nothing_stands_before_the_listener(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    subscription = router.listen(heard, "s", "e", initial=True)
    assert subscription.call is heard


def test_what_the_past_calls_may_close_it(router: sig.Router) -> None:
    for name in ("s", "t"):
        router.add_sender(name, ["e"])
    heard: list[str] = []

    def once(info: sig.Info, data: object) -> None:
        heard.append(info.sender)
        router.remove_listener(once, None, "#connect")
        router.add_sender("u", ["e"])

    assert router.listen(once, None, "#connect", initial=True).closed
    assert heard == ["s"]


def test_a_member_of_a_group_that_closes_while_the_past_is_told_passes_on_what_came_meanwhile(
    router: sig.Router,
) -> None:
    sender = router.add_sender("s", ["e"])
    heard = Heard()

    def leaving(info: sig.Info, data: object) -> None:
        router.listen(heard, "s", "e", group="g")
        for number in range(4):
            sender.trigger("e", number)
        router.remove_listener(leaving, "s")

    router.listen(leaving, "s", group="g", initial=True)
    assert sorted(heard) == [0, 1, 2, 3]


def test_keyboard_interrupt_while_the_past_is_told_leaves_no_listener_behind(router: sig.Router) -> None:
    router.add_sender("s", ["e"])

    def interrupted(info: sig.Info, data: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        router.listen(interrupted, "s", initial=True)
    assert not router._index.count


def test_a_listener_that_raises_while_the_past_is_told_is_reported(router: sig.Router, signal: sig.Signal) -> None:
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append

    def failing(info: sig.Info, data: object) -> None:
        raise ValueError(info.event)

    router.listen(failing, "s", initial=True)
    assert [(str(error.error), error.listener) for error in errors] == [("#connect", failing)]


def test_an_event_that_stands_at_the_gate_when_it_opens_goes_through(router: sig.Router, signal: sig.Signal) -> None:
    """Another thread has begun its round while the past was told, and goes on with it afterwards."""
    heard: list[object] = []
    gates: list[Callable[..., object]] = []

    def listener(info: sig.Info, data: object) -> None:
        heard.append(data if info.event == "e" else info.event)
        if not gates:
            gates.append(subscriptions(router)[0].call)

    router.listen(listener, "s", initial=True)
    gates[0](info_of("s", "e"), "late")
    assert heard == ["#connect", "late"]


def subscriptions(router: sig.Router) -> list[sig.Subscription]:
    return router._index.all()
