"""R29. Any client could trigger any sender's event; the server knows whose route is whose."""

from __future__ import annotations

from regress.hostile import Heard, raw

import sig
from sig.messages import Listen
from sig.protocol.events import pack_events
from sig.protocol.frames import Kind


def test_a_foreign_event_costs_the_forger_its_link_and_reaches_nobody() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as forger, sig.connect(server.urls[0]) as client:
        client.listen(heard, "s", "e")
        sender = server.add_sender("s", "e")
        forger.call(Listen(1, "s", "e"), 1)
        forger.wait_for(Kind.RESULT)
        sender.trigger("e", "true")
        route = forger.wait_for(Kind.ROUTE).route
        (frame,) = pack_events([(route, b'"forged"')], lens=False, lines=True, max_frame_bytes=1 << 20)
        forger.send(frame)
        forger.wait_for(Kind.ERROR)
        sender.trigger("e", "true again")
        heard.wait(2)
    assert heard.data == ["true", "true again"]
