"""R30. Any client could forge `#connect` and `#disconnect` of anybody; only routers tell presence."""

from __future__ import annotations

import pytest
from regress.hostile import Heard, raw

import sig
from sig.messages import AddSender, Presence, encode_control
from sig.protocol.frames import Kind, pack


def test_presence_from_a_client_is_refused() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as forger, sig.connect(server.urls[0]) as client:
        client.listen(heard, None, "#disconnect")
        sender = server.add_sender("s", "e")
        forger.send(pack(Kind.PRESENCE, encode_control(Presence("s", 1, "#disconnect"))))
        forger.wait_for(Kind.ERROR)
        client.flush()
        assert heard.events == []
        sender.remove()
        heard.wait(1)


@pytest.mark.parametrize("event", ["#connect", "#disconnect"])
def test_the_server_takes_no_sender_that_offers_it(event: str) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as forger:
        forger.call(AddSender("s", [event]), 1)
        assert type(forger.refusal()) is sig.InvalidName
        assert server.senders() == []


def test_a_sender_cannot_offer_it() -> None:
    with sig.Router() as router, pytest.raises(sig.InvalidName):
        router.add_sender("s", ["#connect"])
