"""R31. Any client could remove another's sender, and then take its name."""

from __future__ import annotations

import pytest

import sig


def test_only_its_owner_removes_a_sender() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as owner,
        sig.connect(server.urls[0]) as thief,
    ):
        sender = owner.add_sender("s", "e")
        with pytest.raises(sig.Denied):
            thief.remove_sender("s")
        with pytest.raises(sig.SenderAlreadyConnected):
            thief.add_sender("s", "e")
        sender.trigger("e")
        assert sender.connected
