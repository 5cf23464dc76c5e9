"""Carriers of your own: over anything that brings bytes to another place, in order.

Write a medium with `read`, `write` and `close`, see `Medium`; a client carrier whose `open` makes one, and a server
carrier whose `begin` gives one away for every client that comes. Framing, handshake, flow control, deadlines and both
faces come with the routers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.constants import Limits
from sig.drivers.aio import ServerDriver
from sig.drivers.layered import LayeredLink, LayeredWire
from sig.drivers.links import Link
from sig.drivers.media import LoopMediumLink, Medium, MediumLink, MediumWire
from sig.errors import ConnectFailed, SigError
from sig.protocol.layers import Layer

__all__ = ["Medium", "MediumClient", "MediumServer"]


class MediumServer(ServerCarrier):
    """Lets clients in over media. Extend `begin` and `end`.

    Args:
        url: stands in `server.urls`, and in logs.
    """

    def __init__(self, url: str) -> None:
        self.url: str = url
        self._begun = False

    def begin(self, attach: Callable[[Medium, str], None]) -> None:
        """Call `attach(medium, address)` for every client that comes, from any thread; must not block.

        What it raises, `ServerRouter.start` raises.
        """
        raise NotImplementedError

    def end(self) -> None:
        """Let nobody in any more; must not block. Links that exist stay: their media are closed one by one."""

    def _layer(self, limits: Limits) -> Layer | None:
        """What a client's bytes go through."""
        return None

    # ServerCarrier

    def bind(self, *, public: bool) -> str:
        return self.url

    async def serve(self, driver: ServerDriver) -> None:
        def attach(medium: Medium, address: str) -> None:
            layer = self._layer(driver.limits)
            MediumWire(
                driver if layer is None else LayeredWire(driver, layer), medium, address, ticks=layer is not None
            )

        self._begun = True
        self.begin(attach)

    async def close(self) -> None:
        if self._begun:
            self._begun = False
            self.end()


class MediumClient(ClientCarrier):
    """Leads to a server over a medium. Extend `open`.

    Args:
        url: stands in errors and logs.
    """

    def __init__(self, url: str) -> None:
        self.url: str = url

    def __str__(self) -> str:
        return self.url

    def open(self, timeout: float) -> Medium:
        """A medium that leads to a server, within `timeout` seconds. May block. Raises `OSError`, or a `SigError`."""
        raise NotImplementedError

    def _layer(self, limits: Limits) -> Layer | None:
        """What the link's bytes go through."""
        return None

    # ClientCarrier

    def link(self, limits: Limits, timeout: float) -> Link:
        medium = self._opened(timeout)
        layer = self._layer(limits)
        link = MediumLink(medium, limits.write_stall_s, ticks=layer is not None)
        return link if layer is None else LayeredLink(link, layer)

    async def link_awaited(self, limits: Limits, timeout: float) -> Link:
        opening = asyncio.get_running_loop().run_in_executor(None, self._opened, timeout)
        try:
            medium = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise
        layer = self._layer(limits)
        link = LoopMediumLink(medium, limits.write_stall_s, ticks=layer is not None)
        return link if layer is None else LayeredLink(link, layer)

    def _opened(self, timeout: float) -> Medium:
        try:
            return self.open(timeout)
        except SigError:
            raise
        except OSError as error:
            raise ConnectFailed(f"cannot connect to {self}: {error.strerror or error}") from error


def _close(opening: asyncio.Future[Medium]) -> None:
    """Whoever wanted it does not wait any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
