"""Routers with links, in the asyncio face: `serve` and `connect`. Everything runs in the caller's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from os import PathLike
from typing import Any, Self, TypeVar

from sig.answers import Answers
from sig.arrivals import Arrivals
from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.connecting import Connecting, Where
from sig.drivers.aio import ServerDriver
from sig.drivers.inside import LoopInsideLink
from sig.drivers.links import Link
from sig.drivers.looped import LoopDriver
from sig.hub import Name
from sig.info import ClientInfo
from sig.linked import Linked
from sig.protocol.client import ClientCore
from sig.protocol.server import ServerCore
from sig.security.policy import Policy
from sig.sender import Event
from sig.serving import Serving
from sig.steps import Steps, walk_awaiting

from .answers import LoopAnswers
from .asgi import Application
from .pending import Pending
from .router import Router
from .sender import Sender, Signal

T = TypeVar("T")


class LinkedRouter(Linked, Router):
    """What `ServerRouter` and `ClientRouter` have in common: listeners and handlers on the loop."""

    async def clients(self) -> list[ClientInfo]:
        """As `sig.ServerRouter.clients`."""
        return await walk_awaiting(self._clients())

    async def kick(self, who: int | str, reason: str = "") -> int:
        """As `sig.ServerRouter.kick`."""
        return await walk_awaiting(self._kick(who, reason))

    def _make_driver(self, core: ClientCore, arrivals: Arrivals, answers: Answers) -> LoopDriver:
        return LoopDriver(
            core,
            self.limits,
            self._runtime.loop,
            handle=arrivals.handle,
            asked=answers.asked,
            ended=self._ended,
            over=self._over,
        )

    def _make_answers(self) -> LoopAnswers:
        return LoopAnswers(self, self._runtime.loop)

    async def request(
        self, sender: Name, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> Any:
        """As `Router.request`."""
        call = self._call(sender, method, params, type, timeout)
        driver = self._driver
        assert isinstance(driver, LoopDriver)  # it has taken the request
        driver.press()
        return await call

    def _over(self) -> None:
        """The listeners have been given all that came before the link went down."""

    async def _drain(self) -> None:
        driver = self._linked()
        assert isinstance(driver, LoopDriver)  # what `_make_driver` made
        await driver.room()


class ServerRouter(Serving, LinkedRouter):
    """A router for this process and every client that connects, in the caller's loop.

    `async with ServerRouter("tcp://127.0.0.1:3000") as server: ...` starts it, and closes it at the end. Arguments as
    `sig.ServerRouter`; `executor` runs `def` request handlers, which run on the loop without one.
    """

    def __init__(
        self,
        *carriers_or_urls: ServerCarrier | str,
        codec: object = "json",
        auth: object = None,
        acl: object = None,
        insecure_public: bool = False,
        executor: Any = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
        **limits: Any,
    ) -> None:
        super().__init__(
            carriers_or_urls,
            codec,
            insecure_public,
            limits,
            auth=auth,
            acl=acl,
            executor=executor,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )

    async def start(self) -> None:
        """Begin to serve. Errors as `sig.ServerRouter.start`."""
        await walk_awaiting(self._starting())

    async def add_carrier(self, carrier_or_url: ServerCarrier | str, **options: Any) -> str:
        """Serve on one more address; returns it as bound. Options as `sig.serve`'s for it. Raises as `start`."""
        return await walk_awaiting(self._adding_carrier(carrier_or_url, options))

    async def remove_carrier(self, carrier_or_url: ServerCarrier | str) -> bool:
        """Accept nobody there any more; clients that are connected stay. False if there is no such carrier."""
        return await walk_awaiting(self._removing_carrier(carrier_or_url))

    async def reload(self) -> None:
        """As `sig.ServerRouter.reload`."""
        await walk_awaiting(self._reloading())

    async def set_acl(self, acl: Policy | str | PathLike[str] | None) -> None:
        """As `sig.ServerRouter.set_acl`."""
        await walk_awaiting(self._governing(acl))

    async def drain(self, timeout: float | None = None) -> bool:
        """As `sig.ServerRouter.drain`."""
        return await walk_awaiting(self._draining(timeout))

    def asgi(self, *, origins: Sequence[str] = (), hosts: Sequence[str] = ()) -> Application:
        """An ASGI application, to be mounted in one of yours: clients come by its WebSockets, at any path.

        It starts the router when the first comes, if nobody has before. A server that runs it by itself starts and ends
        the router with it. Pages of `origins` may connect, and all programs; with `hosts`, only by these names of the
        server. Raises `InvalidArgument` for what is no origin, or no host.
        """
        return Application(self, origins, hosts)

    async def __aenter__(self) -> Self:
        if not self._serves:
            await self.start()
        return self

    def _make_server(self, core: ServerCore) -> tuple[ServerDriver, Link]:
        loop = self._runtime.loop
        server = ServerDriver(core, self.limits, loop)
        return server, LoopInsideLink(server)

    async def _on_loop(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        async with asyncio.timeout(timeout):
            return await coroutine

    async def _stop_loop(self, timeout: float) -> None:
        if self._server is not None:
            self._server.stop()


class ClientRouter(Connecting, LinkedRouter):
    """The server's world, seen from here, in the caller's loop.

    `async with ClientRouter("tcp://127.0.0.1:3000") as client: ...` connects, and closes at the end. Arguments as
    `sig.ClientRouter`; `send_timeout` is how long `signal.drain()` waits.
    """

    def __init__(
        self,
        carrier_or_url: Where | None = None,
        *,
        codec: Any = "json",
        reconnect: bool | None = None,
        offline: str = "buffer",
        reliable: bool = False,
        timeout: float | None = None,
        send_timeout: float | None = None,
        name: str = "",
        auth: object = None,
        executor: Any = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
        **limits: Any,
    ) -> None:
        super().__init__(
            carrier_or_url,
            codec,
            name,
            timeout,
            send_timeout,
            limits,
            auth=auth,
            reconnect=reconnect,
            offline=offline,
            reliable=reliable,
            executor=executor,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )
        self._reconnecting: asyncio.Task[None] | None = None

    async def open(self, *, wait: bool = True) -> None:
        """Connect, or with `wait=False` let the link come when it can: as `sig.ClientRouter.open`."""
        await walk_awaiting(self._opening(wait))

    async def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until the link is up: true, or false after `timeout` seconds or when it has gone for good."""
        return await walk_awaiting(self._waiting_connected(timeout))

    async def __aenter__(self) -> Self:
        if self._driver is None:
            await self.open()
        return self

    async def _open_link(self, carrier: ClientCarrier) -> Link:
        return await carrier.link_awaited(self.limits, self.limits.connect_timeout_s)

    def _aside(self, steps: Steps[None]) -> None:
        self._reconnecting = self._runtime.loop.create_task(walk_awaiting(steps))

    async def _end_aside(self, timeout: float) -> None:
        task = self._reconnecting
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task], timeout=timeout)


def serve(
    *urls: ServerCarrier | str,
    codec: object = "json",
    auth: object = None,
    acl: object = None,
    insecure_public: bool = False,
    executor: Any = None,
    **limits: Any,
) -> Pending[ServerRouter]:
    """A running server, in this loop: `async with sig.aio.serve("tcp://127.0.0.1:3000") as server: ...`."""
    return Pending(
        _started(
            partial(
                ServerRouter,
                *urls,
                codec=codec,
                auth=auth,
                acl=acl,
                insecure_public=insecure_public,
                executor=executor,
                **limits,
            )
        )
    )


async def _started(make: Callable[[], ServerRouter]) -> ServerRouter:
    server = make()
    await server.start()
    return server


def connect(url: Where | None = None, *, wait: bool = True, **options: Any) -> Pending[ClientRouter]:
    """A connected client, in this loop: `async with sig.aio.connect("tcp://127.0.0.1:3000") as client: ...`.

    Without a URL, `$SIG_URL` or the default port here. With `wait=False` it is connected as soon as it can be. Options
    and errors as `sig.ClientRouter` and its `open`.
    """
    return Pending(_opened(partial(ClientRouter, url, **options), wait))


async def _opened(make: Callable[[], ClientRouter], wait: bool) -> ClientRouter:
    client = make()
    await client.open(wait=wait)
    return client
