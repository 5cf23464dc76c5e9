"""Listening to senders that hold back what nobody hears, over real links."""

from __future__ import annotations

import pytest
from net.raw import Raw

import sig
from sig.messages import Interest, decode_control
from sig.protocol.events import pack_batch
from sig.protocol.frames import Kind


def test_an_owner_that_never_confirms_holds_a_listener_up_for_so_long_and_no_longer() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0", interest_timeout_s=0.05, handshake_timeout_s=600) as server,
        Raw.client(server.urls[0]) as mute,
        Raw.client(server.urls[0]) as raw,
    ):
        route = mute.hold("s", "e")["e"]
        mute.send(pack_batch(route, [b"1"], lens=False, lines=True))
        assert decode_control(Interest, mute.read(Kind.INTEREST).body).state == "none"
        raw.sock.settimeout(2)
        raw.listen("s", "e")
        assert decode_control(Interest, mute.read(Kind.INTEREST).body).state == "some"
        mute.send(pack_batch(route, [b"2"], lens=False, lines=True))
        assert raw.read(Kind.EVENT).body[8:] == b"2"


def test_many_values_go_over_a_link_in_order_up_to_the_one_that_cannot_be_sent() -> None:
    got: list[object] = []
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.listen(lambda info, data: got.append(data), "s", "e")
        signal = client.add_sender("s", ["e"]).signal("e")
        signal.trigger_many(range(1000))
        with pytest.raises(sig.InvalidData):
            signal.trigger_many([1000, object(), 1001])
        client.flush()
        server.flush()
    assert got == list(range(1001))
