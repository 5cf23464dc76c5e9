"""Senders, as their owner holds them and as others see them; and the events of 0.7."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import sig
from sig.steps import Steps


def nothing(info: object, data: object) -> None: ...


def other(info: object, data: object) -> None: ...


def read(params: object) -> object:
    return ("read", params)


# -- the owner's side ----------------------------------------------------------------------------


def test_a_sender_triggers_what_it_has_declared(router: sig.Router) -> None:
    heard: list[object] = []
    sender = router.add_sender("s", ["e", "f"])
    router.listen(lambda info, data: heard.append((info.event, data)), "s")
    sender.trigger("e", 1)
    sender.trigger("f")
    sender.signal("e").trigger(2)
    assert heard[-3:] == [("e", 1), ("f", None), ("e", 2)]


def test_an_event_that_was_not_declared_is_told_by_both_names(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    assert sender.get_signal("e") is sender.signal("e")
    assert sender.get_signal("x") is None
    for ask in (sender.signal, sender.trigger):
        with pytest.raises(sig.UnknownEvent, match="sender 's' has no event 'x'"):
            ask("x")


def test_the_block_of_a_sender_ends_with_its_leaving(router: sig.Router) -> None:
    with router.add_sender("s", ["e"]) as sender:
        assert sender.connected
    assert not sender.connected
    assert sender.remove() is False
    with pytest.raises(sig.SenderNotConnected):
        sender.trigger("e")


def test_a_sender_that_has_left_does_not_take_its_successor_along(router: sig.Router) -> None:
    old = router.add_sender("s", ["e"])
    assert old.remove() is True
    new = router.add_sender("s", ["e"])
    assert (old.connected, new.connected) == (False, True)
    assert old.remove() is False
    assert router.remove_sender(old) is False
    assert new.connected
    assert router.remove_sender(router.sender("s")) is True


def test_a_sender_for_a_name_that_nobody_holds_cannot_trigger(router: sig.Router) -> None:
    sender = router.get_sender("s", create=True)
    assert sender is not None
    assert not sender.connected
    assert sender.get_signal("e") is None
    with pytest.raises(sig.SenderNotConnected):
        sender.trigger("e")


def test_the_requests_of_a_sender_can_be_replaced_and_read(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    assert sender.requests is None
    sender.set_requests({"read": read})
    requests = sender.requests
    assert requests == {"read": read}
    assert requests is not None
    requests.clear()
    assert router.request("s", "read", 5) == ("read", 5)
    sender.set_requests(None)
    with pytest.raises(sig.RequestsNotSupported):
        router.request("s", "read")


def test_new_async_handlers_run_on_the_loop_of_the_old_ones(router: sig.Router) -> None:
    async def where(params: object) -> object:
        return asyncio.get_running_loop()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        sender = router.add_sender("s", requests={"old": where}, loop=loop)
        sender.set_requests({"new": where})
        assert router.request("s", "new") is loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_sender_may_have_signals_of_its_own_class(router: sig.Router) -> None:
    class Loud(sig.Signal):
        def trigger(self, data: object = None) -> None:
            super().trigger(f"{data}!")

    class Loudspeaker(sig.Sender):
        class_signal = Loud

    heard: list[object] = []
    with sig.Router(class_sender=Loudspeaker) as loud:
        loud.listen(lambda info, data: heard.append(data), None, "e")
        sender = loud.add_sender("s", ["e"])
        assert isinstance(sender, Loudspeaker)
        sender.trigger("e", "hello")
    assert heard == ["hello!"]
    assert type(router.add_sender("s", ["e"]).signal("e")) is sig.Signal


# -- the view of others --------------------------------------------------------------------------


def test_a_view_does_what_the_router_does_for_its_name(router: sig.Router) -> None:
    view = router.sender("s")
    heard: list[object] = []

    @view.on("e")
    def on_e(info: sig.Info, data: object) -> None:
        heard.append(data)

    view.listen(lambda info, data: heard.append(info.event), once=True)
    assert (view.name, view.router, view.connected) == ("s", router, False)
    sender = router.add_sender("s", ["e"], [read], retain=True)
    events = view.events("e")
    sender.trigger("e", 1)
    assert view.connected
    assert heard == ["#connect", 1]
    assert [data for _, data in events.take()] == [1]
    assert view.request("read", 5) == ("read", 5)
    assert view.request("read", 5, type=list, timeout=1) == ["read", 5]
    assert view.start_request("read", 5, type=list, timeout=1).result(10) == ["read", 5]
    last = view.last("e")
    assert last is not None
    assert last.data == 1


def test_a_view_can_be_given_for_a_name(router: sig.Router) -> None:
    heard: list[object] = []
    view = router.sender("s")
    router.listen(lambda info, data: heard.append(data), view, "e")
    sender = router.add_sender("s", ["e"], [read], retain=True)
    sender.trigger("e", 1)
    assert heard == [1]
    assert router.request(view, "read") == ("read", None)
    assert router.last(sender, "e") is not None


def test_a_view_shows_its_name_and_whether_somebody_is_there(router: sig.Router) -> None:
    view = router.sender("s")
    assert repr(view) == "<SenderView 's', not connected>"
    sender = router.add_sender("s", ["e"])
    assert repr(view) == "<SenderView 's', connected>"
    assert repr(sender) == "<Sender 's', connected>"


@pytest.mark.parametrize("name", ["", "#s", "a*", 5])
def test_a_view_of_what_cannot_be_a_name_is_refused(router: sig.Router, name: str) -> None:
    with pytest.raises(sig.InvalidName):
        router.sender(name)


# -- waiting -------------------------------------------------------------------------------------


class Signalling(sig.Router):
    """Tells when somebody has begun to wait: he has registered for `#connect`."""

    def __init__(self) -> None:
        self.registered = threading.Event()
        super().__init__()

    def _listing(self, pattern: str | None) -> Steps[list[sig.SenderInfo]]:
        found = yield from super()._listing(pattern)
        self.registered.set()
        return found


def test_waiting_ends_when_the_sender_comes() -> None:
    with Signalling() as router, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(router.sender("s").wait, 60)
        assert router.registered.wait(10)
        router.add_sender("s", ["e"])
        assert answer.result(10) is True
        assert not router._index.count


def test_waiting_for_who_is_there_takes_no_time(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    assert sender.wait(0)
    assert router.sender("s").wait()


def test_waiting_in_vain_ends_after_the_time_given(router: sig.Router) -> None:
    assert router.sender("s").wait(0) is False
    assert not router._index.count


def test_waiting_ends_with_the_router() -> None:
    with Signalling() as router, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(router.sender("s").wait)
        assert router.registered.wait(10)
        router.close()
        with pytest.raises(sig.Closed):
            answer.result(10)


# -- listeners and events, as in 0.7 -------------------------------------------------------------


def test_listeners_are_added_counted_and_removed_by_the_sender(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    assert not sender.has_listeners()
    assert sender.add_listener(nothing, "e") is True
    assert sender.add_listener(nothing) is True
    assert sender.add_listener(nothing, "x") is False
    assert (sender.has_listeners(), sender.count_listeners()) == (True, 3)
    assert sender.remove_listener(nothing, "e") is True
    assert sender.remove_listener(nothing, "e") is False
    assert sender.remove_listener(other) is False
    assert sender.count_listeners() == 2
    router.remove_sender(sender)
    assert sender.count_listeners() == 2


def test_an_event_holds_the_listeners_of_its_name(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    assert sender.get_event("e") is None
    sender.add_listener(nothing, "e")
    sender.add_listener(other, "e")
    router.listen(other, None, "#alarm")
    event = sender.get_event("e")
    assert event is not None
    assert (event.name, event.sender, event.is_channel) == ("e", sender, False)
    assert event.listeners == (nothing, other)
    assert repr(event) == "<Event 'e' of 's', 2 listeners>"
    assert sender.get_events() == [event]
    (alarm,) = [found for found in router._index._plain.values() if found.name == "#alarm"]
    assert (alarm.sender, alarm.is_channel) == (None, True)


def test_an_event_that_is_asked_for_knows_who_comes_later_and_who_has_gone(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    event = sender.get_event("e", create=True)
    assert event is not None
    assert event.listeners == ()
    for _ in range(2):
        sender.add_listener(nothing, "e")
        assert event.listeners == (nothing,)
        sender.remove_listener(nothing, "e")
        assert event.listeners == ()


def test_the_event_of_any_event_is_no_channel(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    sender.add_listener(nothing)
    (event,) = sender.get_events()
    assert (event.name, event.is_channel) == (None, False)


def test_the_old_names_say_the_same(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"])
    sender.add_listener(nothing, "e")
    event = sender.getEvent("e")
    assert event is not None
    old: list[tuple[Callable[[], object], object]] = [
        (sender.getName, "s"),
        (sender.getRouter, router),
        (sender.isConnected, True),
        (lambda: sender.connected_sender, True),
        (lambda: sender.objrouter, router),
        (event.getName, "e"),
        (event.getSender, sender),
        (event.getListeners, (nothing,)),
        (event.isChannel, False),
    ]
    for ask, answer in old:
        assert ask() == answer


def test_an_override_of_an_old_name_is_followed_by_the_new_one(router: sig.Router) -> None:
    class Old(sig.Sender):
        def getSignal(self, event: str) -> sig.Signal | None:
            return super().getSignal(event.lower())

    class New(sig.Sender):
        def get_signal(self, event: str) -> sig.Signal | None:
            return super().get_signal(event.lower())

    for class_sender in (Old, New):
        with sig.Router(class_sender=class_sender) as made:
            sender = made.add_sender("s", ["e"])
            assert sender.getSignal("E") is sender.get_signal("E") is sender.signal("e")


class Desk(sig.Contract):
    def double(self, number: int) -> int:
        return number * 2


def test_a_view_becomes_a_proxy_of_a_contract(router: sig.Router) -> None:
    router.add_sender("s", Desk())
    assert router.sender("s").typed(Desk).double(21) == 42


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "2"])
def test_so_many_requests_at_a_time_is_a_number_above_zero(router: sig.Router, most: Any) -> None:
    with pytest.raises(sig.InvalidArgument, match="max_concurrent=.* of sender 's' must be a whole number above zero"):
        router.add_sender("s", "e", max_concurrent=most)
    assert router.senders() == []


def test_handlers_that_replace_others_have_their_slots(router: sig.Router) -> None:
    sender = router.add_sender("s", requests={"m": lambda params: 1}, max_concurrent=1)
    slots = sender._slots
    assert slots is not None
    sender.set_requests({"m": lambda params: slots.taken})
    assert router.request("s", "m") == 1
    assert slots.taken == 0


def test_a_view_streams(router: sig.Router) -> None:
    def count(params: int) -> Iterator[int]:
        yield from range(params)

    router.add_sender("s", requests=[count])
    with router.sender("s").stream("count", 3) as parts:
        assert list(parts) == [0, 1, 2]


def test_what_answers_in_parts_is_told_of_whatever_the_parts_are(router: sig.Router) -> None:
    def typed(params: int) -> Iterator[int]:
        yield from range(params)

    def untyped(params):  # type: ignore[no-untyped-def]
        yield params

    async def awaited(params):  # type: ignore[no-untyped-def]
        yield params

    def scale(params: int) -> object:
        return params

    requests = {"typed": typed, "untyped": untyped, "whole": read, "scale": scale, None: lambda method, params: 1}
    sender = router.add_sender("s", {"e": int}, requests)
    integer = {"type": "integer"}
    (row,) = router.senders()
    assert row.schema == {
        "events": {"e": integer},
        "requests": {
            "typed": {"params": integer, "parts": integer},
            "untyped": {"parts": {}},
            "scale": {"params": integer},
        },
    }
    sender.set_requests([read])
    assert router.senders()[0].schema == {"events": {"e": integer}, "requests": {}}

    async def alone() -> None:
        router.add_sender("awaited", requests=[awaited])

    asyncio.run(alone())
    (row,) = router.senders("awaited")
    assert row.schema == {"events": {}, "requests": {"awaited": {"parts": {}}}}
