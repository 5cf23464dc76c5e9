"""R14. A subscriber that never read blocked `sendall` for ever, with a lock held; writing has a deadline."""

from __future__ import annotations

import socket

from regress.hostile import Heard, raw

import sig
from sig.messages import AddSender, Listen
from sig.protocol.frames import Kind

# 12 MB: more than the system keeps for a peer that does not read, less than a listener's queue.
EVENTS = 1_200


def test_who_does_not_read_is_cut_off_and_the_others_hear_all() -> None:
    heard, gone = Heard(), Heard()
    with (
        sig.serve("tcp://127.0.0.1:0", write_stall_s=1) as server,
        raw(server.urls[0]) as mute,
        sig.connect(server.urls[0]) as client,
    ):
        mute.call(AddSender("mute", ["e"]), 1)
        mute.call(Listen(1, "s", "e"), 2)
        for _ in range(2):
            mute.wait_for(Kind.RESULT)
        # Otherwise a system with large buffers would take it all.
        mute.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.listen(gone, "mute", "#disconnect")
        client.listen(heard, "s", "e")
        sender = server.add_sender("s", "e")
        for number in range(EVENTS):
            sender.trigger("e", [number, "x" * 10_000])
            if number % 100 == 99:
                heard.wait(number + 1)  # who reads may be slow, and is not to miss anything
        heard.wait(EVENTS)
        gone.wait(1)
    assert [data[0] for data in heard.data if isinstance(data, list)] == list(range(EVENTS))
