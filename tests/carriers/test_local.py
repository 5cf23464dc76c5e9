"""Links within a process: by name, between threads and loops, and in the form of pysig 0.7."""

from __future__ import annotations

import asyncio
import threading

import pytest

import sig
import sig.aio
from sig.carrier.local import LocalCarrier

LIMIT_S = 10


def test_a_name_is_served_once_and_free_again_afterwards() -> None:
    with sig.serve("local://bench") as server:
        assert server.urls == ["local://bench"]
        with pytest.raises(sig.ConnectFailed, match="a server of this process does already"):
            sig.serve("local://bench")
        with sig.connect("local://bench") as client:
            assert client.senders() == []
    with sig.serve("local://bench"):
        pass
    with pytest.raises(sig.ConnectFailed, match=r"nobody in this process serves on local://bench"):
        sig.connect("local://bench")


@pytest.mark.parametrize("url", ["local://", "local:", "local://a/b"])
def test_a_url_without_a_name_is_told_so(url: str) -> None:
    with pytest.raises(sig.InvalidArgument, match="has no name"):
        sig.connect(url)


def test_a_client_that_is_left_alone_by_its_server_knows_why() -> None:
    server = sig.serve("local://bench")
    gone = threading.Event()
    client = sig.connect("local://bench")
    client.on_disconnected = gone.set
    server.close()
    assert gone.wait(LIMIT_S)
    with pytest.raises(sig.ConnectionLost, match="the server is closing"):
        client.senders()
    client.close()


def test_loops_of_two_threads_speak_with_each_other() -> None:
    ready, over = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    async def serve() -> None:
        async with sig.aio.serve("local://bench") as server:
            await server.add_sender("there", requests={"double": lambda number: number * 2})
            ready.set()
            await asyncio.to_thread(over.wait, LIMIT_S)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)

    async def ask() -> object:
        async with sig.aio.connect("local://bench") as client:
            return await client.request("there", "double", 21)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(LIMIT_S)
        assert asyncio.run(ask()) == 42
        with sig.connect("local://bench") as client:
            assert client.request("there", "double", 4) == 8
    finally:
        over.set()
        thread.join()
    assert not failed


def test_the_form_of_pysig_0_7() -> None:
    there, here = LocalCarrier(), LocalCarrier()
    with sig.ServerRouter(there) as server, sig.ClientRouter(here) as client:
        assert here.connect(there)
        client.addRemoteSender("s", ["e"])
        assert [sender.name for sender in server.senders()] == ["s"]
        here.disconnect()
        assert client.state == "closed"


def test_the_form_of_pysig_0_7_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    there, here = LocalCarrier(), LocalCarrier()
    with pytest.raises(sig.InvalidArgument, match="a carrier has no router"):
        here.connect(there)
    here.disconnect()
    with sig.ServerRouter(there) as server, sig.ClientRouter(here):
        server.start()
        with sig.ServerRouter(LocalCarrier()) as other:
            other.start()
            other.close()
            closed = other._carriers[0]
            assert isinstance(closed, LocalCarrier)
            assert not here.connect(closed)
        assert "cannot connect to local://carrier-" in caplog.text
        assert here.connect(there)
