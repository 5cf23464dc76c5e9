"""R16. Requests under way when the connection died waited out their 10 s; they fail at once."""

from __future__ import annotations

import socket
import threading

import pytest
from regress.hostile import LIMIT_S, in_thread, raw

import sig
from sig.messages import AddSender
from sig.protocol.frames import Kind


def test_a_lost_link_fails_what_waits() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(params: object) -> None:
        asked.set()
        go_on.wait(LIMIT_S)

    failed: list[BaseException] = []
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"wait": wait})

        def ask() -> None:
            try:
                client.request("s", "wait", timeout=60)
            except sig.SigError as error:
                failed.append(error)

        thread = in_thread(ask)
        assert asked.wait(LIMIT_S)
        server.close(0.5)
        thread.join(LIMIT_S)
        assert not thread.is_alive()
        go_on.set()
    assert [type(error) for error in failed] == [sig.ConnectionLost]


def test_so_does_a_sender_that_is_gone() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:

        def register_and_vanish() -> None:
            owner.call(AddSender("s", [], ["m"]), 1)
            owner.wait_for(Kind.RESULT)
            registered.set()
            owner.wait_for(Kind.REQUEST)
            owner.sock.shutdown(socket.SHUT_RDWR)

        registered = threading.Event()
        with raw(server.urls[0]) as owner:
            thread = in_thread(register_and_vanish)
            assert registered.wait(LIMIT_S)
            with pytest.raises(sig.ConnectionLost, match="'s' left"):
                client.request("s", "m", timeout=2 * LIMIT_S)
            thread.join(LIMIT_S)
        assert client.state == "connected"
