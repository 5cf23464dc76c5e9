"""What a listener is told: a read-only view, shared by all events of a signal."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sig.info import Gap, Info, ListenerError, Received, SenderInfo, info_of


def test_info_is_a_mapping_with_the_two_names_as_attributes() -> None:
    info = Info({"sender": "thermostat", "event": "changed"})
    assert isinstance(info, Mapping)
    assert (info["sender"], info.get("event"), info.get("other")) == ("thermostat", "changed", None)
    assert (info.sender, info.event) == ("thermostat", "changed")
    assert list(info) == ["sender", "event"]
    assert len(info) == 2
    assert info == {"sender": "thermostat", "event": "changed"}


def test_info_is_a_view_so_that_a_signal_can_add_keys() -> None:
    event_info: dict[str, object] = {"sender": "thermostat", "event": "changed"}
    info = Info(event_info)
    event_info["room"] = 7
    assert info["room"] == 7
    assert "room" in info


def test_info_cannot_be_written_through() -> None:
    info = info_of("thermostat", "changed")
    with pytest.raises(TypeError):
        info["sender"] = "other"  # type: ignore[index]
    with pytest.raises(AttributeError):
        info.sender = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        info.remark = "other"  # type: ignore[attr-defined]


def test_what_is_not_known_of_an_event_is_none() -> None:
    info = info_of("thermostat", "changed")
    assert (info.seq, info.time, info.incarnation, info.initial) == (None, None, None, False)


def test_what_is_known_of_an_event_is_told() -> None:
    info = info_of("thermostat", "changed", seq=3, time=1.5, incarnation=9, initial=True)
    assert (info.seq, info.time, info.incarnation, info.initial) == (3, 1.5, 9, True)


def test_info_shows_its_keys() -> None:
    assert repr(info_of("a", "b")) == "Info({'sender': 'a', 'event': 'b'})"


def test_the_small_records_unpack() -> None:
    info = info_of("a", "b")
    error = ValueError("no")
    assert Received(info, 5) == (info, 5)
    assert Gap(None, "slow") == (None, "slow")
    assert ListenerError(error, print, info) == (error, print, info)
    assert SenderInfo("a", ["b"], None, 1.0, "local", 7).schema is None
