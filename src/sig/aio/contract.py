"""Contracts in the asyncio face: what waits is awaited, so that their methods are best `async def`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from sig.contract import Contract as PlainContract
from sig.contract import EventOf as PlainEventOf
from sig.info import Info
from sig.subscription import Subscription

from .iterators import PendingEvents
from .pending import Pending

if TYPE_CHECKING:
    from .sender import SenderView

T = TypeVar("T")


class EventOf(PlainEventOf[T], Generic[T]):
    """An event of a contract: `changed: sig.aio.EventOf[Reading]`. `trigger` is a plain call."""

    if TYPE_CHECKING:  # the views of this face return these by themselves

        def listen(  # type: ignore[override]  # of the other face, nobody waits for
            self, callback: Callable[[Info, T], object], **options: Any
        ) -> Pending[Subscription]: ...

        def events(self, **options: Any) -> PendingEvents: ...  # type: ignore[override]  # the same


class Contract(PlainContract):
    """Base of classes that say what a sender offers, see `sig.Contract`; here with `async with`."""

    _sig_root = True

    sender: SenderView  # type: ignore[assignment]  # of this face
    """The sender by which it is known at its router; of a proxy, the view that it stands on."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Leave."""
        await self.sender.router.remove_sender(self.sender)
