"""R08. Names of any type and size were taken; each has a limit and a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from regress.hostile import raw

import sig
from sig.messages import AddSender, Call, Error, Listen, decode_control
from sig.protocol.frames import HEADER, Kind, pack


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "a*", 5, None, ["x"], "/".join("abcdefghijklmnopq")])
def test_what_is_no_name_is_refused_at_the_caller(name: Any) -> None:
    with sig.Router() as router:
        with pytest.raises(sig.InvalidName):
            router.add_sender("s", [name])
        with pytest.raises(sig.InvalidName):
            router.add_sender(name, ["e"])
        assert router.senders() == []


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (AddSender("B", [""]), sig.InvalidName),
        (AddSender("", ["e"]), sig.InvalidName),
        (AddSender("B", [], ["x" * 256]), sig.InvalidName),
        (Listen(9, "a\nb"), sig.InvalidName),
        (AddSender("B", ["1", "2", "3", "4"]), sig.Overloaded),
    ],
)
def test_the_server_refuses_it_and_the_link_lives(call: Call, error: type[sig.SigError]) -> None:
    with sig.serve("tcp://127.0.0.1:0", max_names=2, max_events=3) as server, raw(server.urls[0]) as client:
        client.call(call, 1)
        assert type(client.refusal()) is error
        client.call(AddSender("a", ["e"]), 2)
        client.call(AddSender("b", ["e"]), 3)
        for _ in range(2):
            client.wait_for(Kind.RESULT)
        client.call(AddSender("c", ["e"]), 4)
        assert type(client.refusal()) is sig.Overloaded
        assert [sender.name for sender in server.senders()] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (HEADER.pack(2000, Kind.EVENT, 0, 1, 1), "2000 bytes, over the limit of 1000"),
        (pack(Kind.CALL, b'{"call":' + b"[" * 65 + b"]" * 65 + b"}", route=1), "deeper than 64"),
        (pack(Kind.CALL, b'{"call":"add_sender","name":5}', route=1), "malformed"),
    ],
)
def test_size_depth_and_type_are_limited(data: bytes, limit: str) -> None:
    with sig.serve("tcp://127.0.0.1:0", max_frame_bytes=1000) as server, raw(server.urls[0]) as client:
        client.send(data)
        assert limit in decode_control(Error, client.wait_for(Kind.ERROR).body).message
        assert client.closed()
