"""What every carrier has, and what routers ask of it.

A carrier turns an address into links. `sig.serve` and `sig.connect` make carriers from URLs; a carrier of one's own is
given to them as it is. To write one, extend `MediumServer` and `MediumClient` of `sig.carriers.media`: three methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from sig.alias import OldNames
from sig.codecs import Codec, as_codec, as_codecs
from sig.constants import Limits
from sig.drivers.aio import ServerDriver
from sig.drivers.links import Link

if TYPE_CHECKING:
    from sig.hub import Hub


class Carrier(OldNames):
    """Base of the carriers.

    A subclass may encode in its own way by overriding `pack` and `unpack`, on both ends: they carry the payloads of
    events, requests and answers. What the routers say among themselves stays JSON.
    """

    router: Hub | None = None
    """The router this carrier works for; set by the router."""
    options: ClassVar[tuple[str, ...]] = ()
    """Keyword arguments that its class takes beside the URL, and `sig.serve` and `sig.connect` pass on."""

    def pack(self, obj: object) -> bytes:
        """The bytes for a value. Raises whatever says that it has none: then nothing is sent."""
        return as_codec("json").encode(obj)

    def unpack(self, data: bytes) -> object:
        """The value that bytes stand for."""
        return as_codec("json").decode(data)

    @property
    def overrides_codec(self) -> bool:
        """Whether a subclass encodes in its own way."""
        return type(self).pack is not Carrier.pack or type(self).unpack is not Carrier.unpack

    def codecs(self, default: object = "json") -> dict[str, Codec]:
        """The codecs of this carrier's links, by name, the preferred one first: its own one, or the default ones."""
        return as_codecs(_Overridden(self) if self.overrides_codec else default)


class ServerCarrier(Carrier):
    """Lets clients in."""

    def bind(self, *, public: bool) -> str:
        """Take the address; returns its URL as bound. Nobody is let in yet.

        Raises `ConnectFailed` when it cannot be had, and `InvalidArgument` for one that other machines can reach,
        unless `public`.
        """
        raise NotImplementedError

    async def serve(self, driver: ServerDriver) -> None:
        """Let clients in, on the driver's loop."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let nobody in any more, on the driver's loop; links that exist stay. May be called again."""
        raise NotImplementedError

    async def reload(self) -> None:
        """Read files anew that links go by which come from now on; on the driver's loop.

        Raises `InvalidArgument` for what cannot be read: then all stays as it was.
        """

    def unbind(self) -> None:
        """Give up an address at which nobody was let in yet."""


class ClientCarrier(Carrier):
    """Leads to a server. `str()` of it names where."""

    reopens: ClassVar[bool] = True
    """Whether it can make another link after one that was lost."""
    auto_reconnect: bool | None = None
    """Of pysig 0.7: whether a lost link is tried again; `None`: as the router's `reconnect` says."""
    on_connected: Callable[[], object] | None = None
    """Called when the link has come up, as `ClientRouter.on_connected`."""
    on_disconnected: Callable[[], object] | None = None
    """Called when the link has gone, as `ClientRouter.on_disconnected`."""

    exposed: bool = False
    """Whether what is sent crosses a network as it is, for others to read."""

    def link(self, limits: Limits, timeout: float) -> Link:
        """A link to the server, for the blocking face. Raises `ConnectFailed`."""
        raise NotImplementedError

    async def link_awaited(self, limits: Limits, timeout: float) -> Link:
        """The same in asyncio, on the loop that runs here."""
        raise NotImplementedError


class _Overridden:
    """`pack` and `unpack` of a carrier, as a codec."""

    def __init__(self, carrier: Carrier) -> None:
        self.name: str = str(getattr(carrier, "codec_name", "custom"))
        self.encode: Any = carrier.pack
        self.decode: Any = carrier.unpack
