"""What every carrier has: a codec, and the router it works for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sig.alias import OldNames
from sig.codecs import Codec, as_codec

if TYPE_CHECKING:
    from sig.hub import Hub


class Carrier(OldNames):
    """Base of the carriers.

    A subclass may encode in its own way by overriding `pack` and `unpack`, on both ends: they carry the payloads of
    events, requests and answers. What the routers say among themselves stays JSON.
    """

    router: Hub | None = None
    """The router this carrier works for; set by the router."""

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

    def codec(self, default: object = "json") -> Codec:
        """The codec of this carrier's links."""
        return as_codec(_Overridden(self)) if self.overrides_codec else as_codec(default)


class _Overridden:
    """`pack` and `unpack` of a carrier, as a codec."""

    def __init__(self, carrier: Carrier) -> None:
        self.name = str(getattr(carrier, "codec_name", "custom"))
        self.encode = carrier.pack
        self.decode = carrier.unpack
