"""R07. Data that cannot be encoded was dropped in silence; the caller is told, and nothing is sent."""

from __future__ import annotations

import pytest
from regress.hostile import Heard

import sig


def test_the_caller_is_told_and_the_link_lives() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.listen(heard, "s", "e")
        sender = client.add_sender("s", "e")
        with pytest.raises(sig.InvalidData):
            sender.trigger("e", object())
        sender.trigger("e", b"\x00\xff")  # documented: bytes travel as base64
        heard.wait(1)
    assert heard.data == ["AP8="]
