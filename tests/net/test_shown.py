"""How routers with links are shown to who prints them."""

from __future__ import annotations

import pytest

import sig
import sig.aio

URLS = ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "local://shown"]


@pytest.mark.parametrize("url", URLS)
def test_a_router_tells_where_it_is_and_how_it_stands(url: str) -> None:
    server = sig.ServerRouter(url)
    assert repr(server) == "<ServerRouter, not started>"
    server.start()
    (bound,) = server.urls
    assert repr(server) == f"<ServerRouter, serving {bound}>"
    client = sig.connect(bound)
    assert repr(client) == f"<ClientRouter of {bound}, connected>"
    client.close()
    server.close()
    assert repr(client) == f"<ClientRouter of {bound}, closed>"
    assert repr(server) == "<ServerRouter, closed>"


@pytest.mark.asyncio
async def test_those_of_asyncio_too() -> None:
    async with sig.aio.serve(URLS[0]) as server, sig.aio.connect(server.urls[0]) as client:
        assert repr(server) == f"<ServerRouter, serving {server.urls[0]}>"
        assert repr(client) == f"<ClientRouter of {server.urls[0]}, connected>"
