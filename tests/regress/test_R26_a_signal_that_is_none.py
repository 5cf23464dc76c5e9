"""R26. An unknown event gave a signal that was None, and an AttributeError later."""

from __future__ import annotations

import pytest

import sig


def test_an_unknown_event_is_told_by_its_name() -> None:
    with sig.Router() as router, router.add_sender("s", "e") as sender:
        with pytest.raises(sig.UnknownEvent, match="'other'"):
            sender.signal("other")
        with pytest.raises(LookupError):
            sender.trigger("other")
        assert sender.getSignal("other") is None
