"""What a sender is declared with."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

import sig
from sig.signal import TypedSignal


def answer(params: Any) -> Any:
    return params


@pytest.mark.parametrize(
    ("events", "names"), [("e", ["e"]), (["e", "f", "e"], ["e", "f"]), ({"e": object, "f": None}, ["e", "f"]), ((), [])]
)
def test_events_are_one_name_or_several_or_a_mapping(router: sig.Router, events: Any, names: list[str]) -> None:
    router.add_sender("s", events, [answer])
    assert router.senders()[0].events == names


@pytest.mark.parametrize(("retain", "kept"), [(True, ["e", "f"]), (False, []), ((), []), ("e", ["e"]), (["f"], ["f"])])
def test_what_is_retained_is_one_name_or_several_or_all(router: sig.Router, retain: Any, kept: list[str]) -> None:
    sender = router.add_sender("s", ["e", "f"], retain=retain)
    for event in ("e", "f"):
        sender.trigger(event)
    assert [event for event in ("e", "f") if router.last("s", event)] == kept


def test_an_event_that_is_not_declared_cannot_be_retained(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match=r"cannot retain 'x': it is not among its events \['e'\]"):
        router.add_sender("s", ["e"], retain=["x"])


def test_a_sender_has_something_to_say(router: sig.Router) -> None:
    for events in ((), []):
        with pytest.raises(sig.InvalidArgument, match="sender 's' has neither events nor requests: give"):
            router.add_sender("s", events)


def test_events_with_types_check_what_is_triggered(router: sig.Router) -> None:
    sender = router.add_sender("s", {"e": int, "f": None}, retain=True)
    assert [type(sender.signal(event)) for event in "ef"] == [TypedSignal, sig.Signal]
    with pytest.raises(sig.InvalidData):
        sender.trigger("e", "text")


def test_names_of_an_enumeration_have_types_too(router: sig.Router) -> None:
    class Name(StrEnum):
        HEAT = "heat"

    assert router.add_sender("s", {Name.HEAT: int}).signal("heat").kind is int


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (sig.Router, "event 'e' of sender 's' cannot have the type Router: it has no form in JSON; name a dataclass"),
        ("nonsense", "'nonsense' cannot be a type of data"),
    ],
)
def test_what_is_no_type_of_data_is_refused(router: sig.Router, kind: object, sentence: str) -> None:
    with pytest.raises(sig.InvalidArgument, match=sentence):
        router.add_sender("s", {"e": kind})


def test_a_sender_may_have_signals_of_its_own(router: sig.Router) -> None:
    class Loud(sig.Signal):
        pass

    class Speaker(sig.Sender):
        class_signal = Loud

    with sig.Router(class_sender=Speaker) as other:
        assert type(other.add_sender("s", "e").signal("e")) is Loud
        assert isinstance(other.add_sender("t", {"e": int}).signal("e"), Loud)
    assert type(router.add_sender("s", "e").signal("e")) is sig.Signal
