"""Links within one process, by name: `local://bench`. Nothing is bound, and nobody else can come."""

from __future__ import annotations

import itertools
import threading
from typing import Final

from sig.carriers.address import split
from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.constants import Limits
from sig.drivers.aio import ServerDriver
from sig.drivers.inside import InsideLink, LoopInsideLink
from sig.drivers.links import Link
from sig.errors import ConnectFailed, InvalidArgument, SigError
from sig.log import logger

_EXAMPLE: Final = "local://bench"

_lock: Final = threading.Lock()  # guards what follows
_served: Final[dict[str, LocalServer]] = {}
_numbers: Final = itertools.count(1)


class LocalServer(ServerCarrier):
    """Serves clients of this process: `sig.serve("local://bench")`."""

    def __init__(self, url: str) -> None:
        self.name: str = _name(url)
        self.driver: ServerDriver | None = None
        """Where clients are let in; `None` as long as nobody is."""

    def bind(self, *, public: bool) -> str:
        with _lock:
            if _served.setdefault(self.name, self) is not self:
                raise ConnectFailed(
                    f"cannot serve on local://{self.name}: a server of this process does already; choose another name"
                )
        return f"local://{self.name}"

    async def serve(self, driver: ServerDriver) -> None:
        self.driver = driver

    async def close(self) -> None:
        self.unbind()

    def unbind(self) -> None:
        self.driver = None
        with _lock:
            if _served.get(self.name) is self:
                del _served[self.name]


class LocalClient(ClientCarrier):
    """Connects to a server of this process: `sig.connect("local://bench")`."""

    def __init__(self, url: str) -> None:
        self.name: str = _name(url)

    def __str__(self) -> str:
        return f"local://{self.name}"

    def link(self, limits: Limits, timeout: float) -> Link:
        driver = self._driver()
        return InsideLink(driver, driver.loop.call_soon_threadsafe, ours=False)

    async def link_awaited(self, limits: Limits, timeout: float) -> Link:
        return LoopInsideLink(self._driver(), ours=False)

    def _driver(self) -> ServerDriver:
        with _lock:
            server = _served.get(self.name)
            driver = server.driver if server is not None else None
        if driver is None:
            raise ConnectFailed(
                f"nobody in this process serves on {self}: begin with sig.serve('{self}'), or check the name"
            )
        return driver


class LocalCarrier(LocalServer, LocalClient):
    """The form of pysig 0.7: one for each router, and one connects to the other.

    `there = LocalCarrier(); server = ServerRouter(there); here = LocalCarrier(); client = ClientRouter(here);
    here.connect(there)`.
    """

    name: str

    def __init__(self) -> None:
        LocalServer.__init__(self, f"local://carrier-{next(_numbers)}")

    def connect(self, other: LocalCarrier) -> bool:
        """Connect the router of this carrier to the server of another; false, with a log line, if that fails."""
        if self.router is None or other.router is None:
            raise InvalidArgument(
                "a carrier has no router yet: make ServerRouter(other) and ClientRouter(carrier) first"
            )
        before, self.name = self.name, other.name
        try:
            if other.driver is None:
                other.router.start()  # type: ignore[attr-defined]  # a ServerRouter, which is above this layer
            self.router.open()  # type: ignore[attr-defined]  # a ClientRouter, likewise
        except SigError as error:
            logger.error(f"cannot connect to {other}: {error}")
            self.name = before
            return False
        return True

    def disconnect(self) -> None:
        """Close the router's link."""
        if self.router is not None:
            self.router.close()  # type: ignore[attr-defined]  # of the blocking face


def _name(url: str) -> str:
    parts, _ = split(url, example=_EXAMPLE)
    if not parts.netloc or parts.path:
        raise InvalidArgument(f"{url!r} has no name: write it like {_EXAMPLE!r}")
    return parts.netloc
