"""Senders and signals of the asyncio face."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sig.contract import Contract, proxy
from sig.errors import UnknownEvent
from sig.info import Received
from sig.sender import Owned, View
from sig.signal import Signal as PlainSignal
from sig.steps import walk_awaiting
from sig.subscription import Callback, Subscription

from .iterators import PendingEvents
from .pending import Pending
from .streams import Stream

if TYPE_CHECKING:
    import asyncio

    from .router import Router

F = TypeVar("F", bound=Callback)
C = TypeVar("C", bound=Contract)


class Signal(PlainSignal):
    """One event of one sender: what `sender.signal(event)` returns. `trigger` is a plain call, on the loop's thread."""

    async def drain(self) -> None:
        """Wait until there is room for more events: what a loop that triggers without a pause does now and then.

        Raises `Overloaded` when there is none within `send_timeout_s`. In one process it returns at once.
        """
        await self._router._drain()  # type: ignore[attr-defined]  # made by a router of this face


class SenderView(View):
    """A sender as seen by others: a name at a router, whether or not somebody holds it now. Making one does no I/O."""

    @property
    def router(self) -> Router:
        """The router it is seen from."""
        router: Router = self._router
        return router

    def on(self, event: str | None = None, **options: Any) -> Callable[[F], F]:
        """Decorator: register a listener for one event of this sender, or for all; see `Router.on`."""
        register: Callable[[F], F] = self._router.on(self._name, event, **options)
        return register

    def listen(self, callback: Callback, event: str | None = None, **options: Any) -> Pending[Subscription]:
        """Register a listener for one event of this sender, or for all; see `Router.listen`."""
        pending: Pending[Subscription] = self._router.listen(callback, self._name, event, **options)
        return pending

    def events(self, event: str | None = None, **options: Any) -> PendingEvents:
        """Take events of this sender one by one; see `Router.events`."""
        events: PendingEvents = self._router.events(self._name, event, **options)
        return events

    async def request(
        self, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> Any:
        """Ask this sender and await its answer; see `Router.request`."""
        return await self._router.request(self._name, method, params, type=type, timeout=timeout)

    def start_request(
        self, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Ask this sender without waiting; see `Router.start_request`."""
        future: asyncio.Future[Any] = self._router.start_request(self._name, method, params, type=type, timeout=timeout)
        return future

    def stream(
        self,
        method: str,
        params: object = None,
        *,
        type: Any = None,
        timeout: float | None = None,
        idle: float | None = None,
    ) -> Stream:
        """Ask this sender for an answer in parts; see `Router.stream`."""
        stream: Stream = self._router.stream(self._name, method, params, type=type, timeout=timeout, idle=idle)
        return stream

    def typed(self, contract: type[C], *, timeout: float | None = None) -> C:
        """A proxy of this sender: its events are listened to, and its methods ask, awaited, as the contract says.

        `timeout` is that of each request. No I/O; raises `InvalidArgument` for what is no contract.
        """
        return proxy(self, contract, timeout)

    async def last(self, event: str) -> Received | None:
        """The retained value of an event; see `Router.last`."""
        last: Received | None = await self._router.last(self._name, event)
        return last

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until the sender is connected: true, or false after `timeout` seconds.

        Raises `Closed` when the router is closed meanwhile.
        """
        found: bool = await walk_awaiting(self._router._awaiting(self._name, timeout))
        return found


class Sender(Owned, SenderView):
    """A sender held by this process; as an async context manager it leaves at the end of the block."""

    def signal(self, event: str) -> Signal:
        """The signal of an event: `trigger` on it is the fast way. Raises `UnknownEvent` for one not declared."""
        signal = self._signals.get(event)
        if signal is None:
            raise UnknownEvent(self._name, event)
        assert isinstance(signal, Signal)  # the routers of this face take no other class
        return signal

    async def remove(self) -> bool:
        """Leave; true if the sender was connected. Listeners stay registered for the next one of this name."""
        removed: bool = await self._router.remove_sender(self)
        return removed

    async def add_listener(self, listener: Callback, event: str | None = None) -> bool:
        """Register a listener; see `Router.add_listener`."""
        known: bool = await self._router.add_listener(listener, self._name, event)
        return known

    async def remove_listener(self, listener: Callback, event: str | None = None) -> bool:
        """Take a listener out; see `Router.remove_listener`."""
        removed: bool = await self._router.remove_listener(listener, self._name, event)
        return removed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.remove()
