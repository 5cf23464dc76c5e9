"""A router mounted in a web application, under a real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import sig.aio


@asynccontextmanager
async def served(application: Any, **options: Any) -> AsyncIterator[str]:
    """Where an application is served, as `127.0.0.1:port`."""
    # Asyncio switches Nagle's algorithm off where the protocol is told; with it every other answer takes 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_level="critical", lifespan=options.pop("lifespan", "on"), **options)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        assert not serving.done(), "the application did not start"
        await asyncio.sleep(0)
    try:
        yield "{}:{}".format(*sock.getsockname())
    finally:
        server.should_exit = True
        await serving


def mounted(server: sig.aio.ServerRouter, **options: Any) -> Starlette:
    """An application with a router at `/sig`, and something of its own."""

    async def senders(request: Request) -> PlainTextResponse:
        return PlainTextResponse(" ".join(sender.name for sender in await server.senders()))

    return Starlette(routes=[Route("/senders", senders), Mount("/sig", server.asgi(**options))])
