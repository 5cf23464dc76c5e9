"""R31. Any client could remove another's sender, and then take its name."""

from __future__ import annotations

import pytest
from regress.hostile import raw

import sig
from sig.messages import AddSender, Call, RemoveSender


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


@pytest.mark.parametrize(
    ("call", "error"), [(RemoveSender("s"), sig.Denied), (AddSender("s", ["e"]), sig.SenderAlreadyConnected)]
)
def test_the_server_says_so_to_whoever_asks_it_directly(call: Call, error: type[sig.SigError]) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as thief, sig.connect(server.urls[0]) as owner:
        sender = owner.add_sender("s", "e")
        before = server.senders()
        thief.call(call, 1)
        assert type(thief.refusal()) is error
        assert server.senders() == before
        assert sender.connected
