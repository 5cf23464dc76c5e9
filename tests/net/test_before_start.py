"""A server's own router can be used before it serves: its senders are there when the first client comes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import sig
import sig.aio
from sig.carrier.tcpserver import CarrierTCPServer
from sig.testing import capture, settle

FREE = "tcp://127.0.0.1:0"


def test_what_is_registered_before_is_there_when_the_first_client_comes() -> None:
    server = sig.ServerRouter(FREE)
    heard = capture(server, "probe", "reading")
    probe = server.add_sender("probe", ["reading"], {"double": lambda params: 2 * params})
    probe.trigger("reading", 1)
    assert server.request("probe", "double", 21) == 42
    assert server.urls == []  # nobody can come yet
    server.start()
    with server, sig.connect(server.urls[0]) as client:
        assert client.request("probe", "double", 4) == 8
        probe.trigger("reading", 2)
        settle(server, client)
    assert heard.data == [1, 2]


def test_a_program_of_0_7_registers_before_its_carrier_starts() -> None:
    carrier = CarrierTCPServer()
    server = sig.ServerRouter(carrier)
    server.addSender("probe", ["reading"], {"read": lambda params: 5})
    assert carrier.start("127.0.0.1", 0)
    try:
        with sig.connect(server.urls[0]) as client:
            assert client.request("probe", "read") == 5
    finally:
        carrier.stop()


def test_several_threads_prepare_one_server() -> None:
    server = sig.ServerRouter(FREE)
    gate = threading.Barrier(8)

    def listen() -> None:
        gate.wait(50)
        captures.append(capture(server, "probe", "reading"))

    captures: list[Any] = []
    threads = [threading.Thread(target=listen) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    with server:
        server.start()
        server.add_sender("probe", ["reading"]).trigger("reading", 1)
        settle(server)
    assert [heard.data for heard in captures] == [[1]] * 8


def test_a_start_that_fails_changes_nothing() -> None:
    with sig.serve(FREE) as other, sig.ServerRouter(other.urls[0]) as server:
        server.add_sender("probe", requests={"read": lambda params: 5})
        with pytest.raises(sig.ConnectFailed, match="in use"):
            server.start()
        assert server.request("probe", "read") == 5
        assert server.urls == []


def test_one_that_never_starts_is_closed_like_any() -> None:
    server = sig.ServerRouter(FREE)
    server.add_sender("probe", ["reading"])
    assert server.drain(0)
    server.reload()
    with pytest.raises(sig.InvalidArgument, match="does not run yet: start it first"):
        server.add_carrier(FREE)
    assert server.remove_carrier(FREE) is False
    server.close()
    with pytest.raises(sig.Closed):
        server.listen(print)
    with pytest.raises(sig.Closed):
        server.start()


def test_what_cannot_be_asked_before_says_what_to_do() -> None:
    with sig.ServerRouter(FREE) as server, pytest.raises(sig.ConnectionLost, match="does not run yet: start it first"):
        server.senders()


def test_credentials_that_cannot_be_read_are_told_by_the_first_verb(tmp_path: Path) -> None:
    server = sig.ServerRouter(FREE, auth=tmp_path / "absent.toml")
    with server:
        for _ in range(2):
            with pytest.raises(sig.InvalidArgument, match="cannot be read"):
                server.listen(print, "probe")


@pytest.mark.asyncio
async def test_in_asyncio_too() -> None:
    server = sig.aio.ServerRouter(FREE)
    await server.add_sender("probe", ["reading"], {"read": lambda params: 5})
    assert server.urls == []
    async with server, sig.aio.connect(server.urls[0]) as client:
        assert await client.request("probe", "read") == 5
