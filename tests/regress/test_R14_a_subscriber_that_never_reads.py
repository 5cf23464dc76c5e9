"""R14. A subscriber that never read blocked `sendall` for ever, with a lock held; writing has a deadline."""

from __future__ import annotations

from regress.hostile import Heard, raw

import sig
from sig.messages import AddSender, Listen
from sig.protocol.frames import Kind


def test_who_does_not_read_is_cut_off_and_the_others_hear_all() -> None:
    heard = Heard()
    gone = Heard()
    with (
        sig.serve("tcp://127.0.0.1:0", write_stall_s=0.3) as server,
        raw(server.urls[0]) as mute,
        sig.connect(server.urls[0]) as client,
    ):
        mute.call(AddSender("mute", ["e"]), 1)
        mute.call(Listen(1, "s", "e"), 2)
        for _ in range(2):
            mute.wait_for(Kind.RESULT)
        client.listen(gone, "mute", "#disconnect")
        client.listen(heard, "s", "last")
        sender = server.add_sender("s", ["e", "last"])
        for _ in range(15_000):
            sender.trigger("e", "x" * 1000)
        sender.trigger("last")
        heard.wait(1)
        gone.wait(1)
