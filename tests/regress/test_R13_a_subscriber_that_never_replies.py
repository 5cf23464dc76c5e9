"""R13. A subscriber that never replied blocked the sender 10 s for each event, and those behind it."""

from __future__ import annotations

from regress.hostile import Heard, raw

import sig
from sig.messages import Listen
from sig.protocol.frames import Kind


def test_a_subscriber_that_says_nothing_more_holds_up_nobody() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as silent, sig.connect(server.urls[0]) as client:
        silent.call(Listen(1, "s", "e"), 1)
        silent.wait_for(Kind.RESULT)
        client.listen(heard, "s", "e")
        sender = server.add_sender("s", "e")
        for number in range(50):
            sender.trigger("e", number)
        heard.wait(50)
