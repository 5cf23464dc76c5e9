"""What is told to somebody who wrote something else than there is."""

from __future__ import annotations

from sig.spelling import meant


def test_the_nearest_is_asked_for() -> None:
    assert meant("senders", ["sender", "event", "sends"]) == "did you mean 'sender'?"


def test_where_nothing_is_near_nothing_is_asked() -> None:
    assert meant("senders", ["xyz"]) == ""
    assert meant("senders", []) == ""
