"""R46. Nothing kept a sender from offering `#connect` as its own; a channel is an event like others."""

from __future__ import annotations

import pytest

import sig


@pytest.mark.parametrize("event", sig.RESERVED_EVENTS)
def test_routers_keep_their_events(event: str) -> None:
    with sig.Router() as router, pytest.raises(sig.InvalidName, match="routers only"):
        router.add_sender("s", [event])


def test_a_channel_is_told_to_each_kind_of_listener_once() -> None:
    called: list[str] = []
    with sig.Router() as router:
        router.listen(lambda info, data: called.append(info.sender), event="#alarm")
        with router.add_sender("a", "#alarm") as a, router.add_sender("b", "#alarm") as b:
            a.trigger("#alarm")
            b.trigger("#alarm")
    assert called == ["a", "b"]
