"""Values to bytes and back: JSON, MessagePack, and whatever object the user brings.

A codec sees payloads only, never names or routes, and is a plain function of its input: no link, no lock.
Whatever goes wrong in one, ours or the user's, is an `InvalidData`; that is the caller's mistake when
encoding, and costs one frame when decoding, never the link.
"""

from __future__ import annotations

import struct
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

import msgspec

from sig.constants import NAME_MAX_BYTES
from sig.errors import InvalidArgument, InvalidData
from sig.kinds import made, plain


class Encode(Protocol):
    """A function that encodes."""

    def __call__(self, obj: object, /) -> bytes: ...


class Decode(Protocol):
    """Makes a value of bytes."""

    def __call__(self, data: bytes, /) -> object: ...


class Codec(Protocol):
    """What the rest of the project calls; `as_codec` makes one of what the user gives.

    `encode` and `decode` raise `InvalidData` for what the codec cannot carry and what it cannot read.
    """

    # How it is called in the handshake: peers with the same name understand each other.
    @property
    def name(self) -> str: ...

    # Whether the payloads of a batch are joined by newlines; then no payload contains one. Else LENS tells their sizes.
    @property
    def lines(self) -> bool: ...

    # Whether a Struct is written as a dict of its fields is.
    @property
    def structs(self) -> bool: ...

    def encode(self, obj: object, /) -> bytes: ...

    # `encode`, but may raise anything: for where each nanosecond counts. `encode` says then what is wrong.
    @property
    def quick(self) -> Encode: ...

    def decode(self, data: bytes, /) -> object: ...

    # `decode`, but may raise anything: as `quick`.
    @property
    def read(self) -> Decode: ...

    # What a batch says. `lens` are the lengths of its parts, or None if they are lines. `batch_decode`, which
    # is what to call, checks that there are `count` results.
    def decode_many(self, payloads: bytes, lens: Sequence[int] | None, count: int, /) -> list[object]: ...

    # The same codec, which decodes into that type, at no more cost; None where that takes a second step.
    def typed(self, kind: Any, /) -> Codec | None: ...


# What msgspec raises for bytes from outside. Broken UTF-8 is a ValueError.
_UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)

# The head of an array of up to 2**32 - 1 values.
_ARRAY: Final = struct.Struct(">BI")
_ARRAY_32: Final = 0xDD


class _Msgspec:
    """What both formats of msgspec have in common."""

    __slots__ = ("_decoder", "_format", "quick", "read")

    name: str
    lines: bool
    structs = True

    def __init__(
        self,
        format: str,
        encoder: msgspec.json.Encoder | msgspec.msgpack.Encoder,
        decoder: msgspec.json.Decoder[Any] | msgspec.msgpack.Decoder[Any],
    ) -> None:
        self.quick: Encode = encoder.encode
        self.read: Decode = decoder.decode
        self._format = format  # as people call it
        self._decoder = decoder

    def encode(self, obj: object, /) -> bytes:
        try:
            return self.quick(obj)
        except RecursionError as error:
            raise InvalidData(
                f"{_type_name(obj)} is nested too deeply for {self._format}, or contains itself"
            ) from error
        # Encoding may run code of the user's (properties, subclasses): anything can come out of it.
        except Exception as error:
            raise InvalidData(
                f"{self._format} cannot carry this {_type_name(obj)} ({_reason(error)}): {self._advice(error)}"
            ) from error

    def decode(self, data: bytes, /) -> object:
        try:
            return self._decoder.decode(data)
        except _UNREADABLE as error:
            raise InvalidData(f"the payload is not {self._format} that can be read: {error}") from error

    def _advice(self, error: Exception) -> str:
        return "give plain values (dict, list, str, number, bool, None), a dataclass or a msgspec.Struct"


class JSONCodec(_Msgspec):
    """JSON as msgspec writes it: the default, and what every peer can read.

    What arrives is not always what was given:

    * tuples, sets and frozensets arrive as lists; dataclasses and `msgspec.Struct` as dicts; keys as strings;
    * `datetime`, `UUID`, `Decimal`, enums as their usual texts or values;
    * `bytes` as a string of base64, which a listener with a `type=` turns back into bytes;
    * NaN and the infinities, for which JSON has no word, as `None`;
    * integers of any size arrive whole between Python peers. Other languages may round beyond 53 bits.

    A payload is one line: newlines inside strings are escaped, and there are no others. `msgspec.Raw` is sent as it
    stands: it must be one line of JSON.
    """

    __slots__ = ("_decode_lines",)

    name = "json"
    lines = True

    def __init__(self, kind: Any = Any) -> None:
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind, dec_hook=made)
        super().__init__("JSON", msgspec.json.Encoder(enc_hook=plain), decoder)
        self._decode_lines = decoder.decode_lines

    def typed(self, kind: Any, /) -> JSONCodec:
        return JSONCodec(kind)

    def decode_many(self, payloads: bytes, lens: Sequence[int] | None, count: int, /) -> list[object]:
        # The lengths are for whoever splits the batch: the newlines are there with or without them.
        try:
            return self._decode_lines(payloads)
        except _UNREADABLE as error:
            raise InvalidData(f"the batch is not lines of JSON that can be read: {error}") from error


class MessagePackCodec(_Msgspec):
    """MessagePack as msgspec writes it: smaller and faster than JSON, and for `bytes` too.

    What arrives is not always what was given:

    * tuples, sets and frozensets arrive as lists; dataclasses and `msgspec.Struct` as dicts;
    * keys stay what they were, numbers and `None` too; those that are tuples or frozensets arrive as tuples;
    * `bytes`, `bytearray` and `memoryview` arrive as `bytes`; NaN and the infinities as themselves;
    * a `datetime` with a time zone arrives as the same moment in UTC; one without, `date`, `time`, `UUID`, `Decimal`
      and enums as their usual texts or values.

    Integers are those of 64 bits, -2**63 to 2**64 - 1; others are refused. `msgspec.Raw` is sent as it stands: it
    must be one value of MessagePack.
    """

    __slots__ = ("_many",)

    name = "msgpack"
    lines = False

    def __init__(self, kind: Any = Any) -> None:
        encoder, decoder = msgspec.msgpack.Encoder(enc_hook=plain), msgspec.msgpack.Decoder(kind, dec_hook=made)
        super().__init__("MessagePack", encoder, decoder)
        self._many = msgspec.msgpack.Decoder(list[kind], dec_hook=made)

    def typed(self, kind: Any, /) -> MessagePackCodec:
        return MessagePackCodec(kind)

    def decode_many(self, payloads: bytes, lens: Sequence[int] | None, count: int, /) -> list[object]:
        if lens is None:
            raise _unmeasured(self.name, count)
        # Each value says where it ends, so that all of them are an array that lacks its head: one call instead of
        # one for each slice. It holds `count` values and no byte more, or is refused. The lengths are for whoever
        # splits the batch: where they cut elsewhere, the sender has broken the protocol, and the values count.
        try:
            return cast("list[object]", self._many.decode(_ARRAY.pack(_ARRAY_32, count) + payloads))
        except _UNREADABLE as error:
            raise InvalidData(f"the batch is not {count} values of MessagePack that can be read: {error}") from error

    def _advice(self, error: Exception) -> str:
        if isinstance(error, OverflowError):
            return "its integers end at 64 bits; send larger ones as text, or choose the codec 'json' on all sides"
        return super()._advice(error)


class UserCodec:
    """Any object with `encode(obj) -> bytes` and `decode(data) -> obj`, held to the contract of `Codec`."""

    __slots__ = ("_decode", "_encode", "lines", "name", "quick", "read")

    structs = False

    def __init__(self, name: str, encode: Callable[[object], object], decode: Callable[[bytes], object]) -> None:
        self.name: str = name
        self.lines: bool = False
        self._encode, self._decode = encode, decode
        self.quick: Encode = self.encode
        self.read: Decode = self.decode

    def encode(self, obj: object, /) -> bytes:
        try:
            data = self._encode(obj)
        except Exception as error:
            raise InvalidData(
                f"the codec {self.name!r} cannot carry this {_type_name(obj)} ({_reason(error)})"
            ) from error
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidData(f"encode() of the codec {self.name!r} must return bytes, not {_type_name(data)}")
        return bytes(data)

    def decode(self, data: bytes, /) -> object:
        try:
            return self._decode(data)
        except Exception as error:
            raise InvalidData(f"the codec {self.name!r} cannot read a payload ({_reason(error)})") from error

    def decode_many(self, payloads: bytes, lens: Sequence[int] | None, count: int, /) -> list[object]:
        if lens is None:
            raise _unmeasured(self.name, count)
        values: list[object] = []
        start = 0
        for length in lens:
            values.append(self.decode(payloads[start : start + length]))
            start += length
        return values

    def typed(self, kind: Any, /) -> None:
        """What the user's own code makes of bytes has to be looked at all the same."""


JSON: Final = JSONCodec()
MSGPACK: Final = MessagePackCodec()

# What a user can ask for by its name.
_BUILT_IN: Final[dict[str, Codec]] = {JSON.name: JSON, MSGPACK.name: MSGPACK}
_CHOICE: Final = f"choose from {', '.join(map(repr, _BUILT_IN))}, or give an object with encode(obj) and decode(bytes)"


def as_codec(value: object) -> Codec:
    """The codec that `value` stands for: the name of a built-in one, or an object that is one.

    An object needs `encode(obj) -> bytes` and `decode(bytes) -> obj`. Its `name` is what peers compare in the
    handshake; without one it is "custom".

    Raises:
        InvalidArgument: an unknown name, or an object that is no codec.
    """
    if isinstance(value, str):
        if value in _BUILT_IN:
            return _BUILT_IN[value]
        raise InvalidArgument(f"there is no codec {value!r}; {_CHOICE}")
    if isinstance(value, JSONCodec | MessagePackCodec | UserCodec):
        return value
    encode, decode = getattr(value, "encode", None), getattr(value, "decode", None)
    # A class has both functions too, but no `self` to call them with.
    if isinstance(value, type) or not (callable(encode) and callable(decode)):
        raise InvalidArgument(f"{value!r} is not a codec; {_CHOICE}")
    name = getattr(value, "name", "custom")
    # Printable first: a lone surrogate is not, and could not be encoded.
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name.encode()) <= NAME_MAX_BYTES):
        raise InvalidArgument(f"a codec's name must be printable text of 1 to {NAME_MAX_BYTES} bytes, not {name!r}")
    if name in _BUILT_IN:
        # Peers would take its payloads for the real one.
        raise InvalidArgument(f"{name!r} is the name of a built-in codec: give yours another")
    return UserCodec(name, encode, cast("Callable[[bytes], object]", decode))


def as_codecs(value: object) -> dict[str, Codec]:
    """The codecs that `value` stands for, by name, the preferred one first: one as for `as_codec`, or a list of them.

    Who has one of the built-in ones has the other too, at the end: any two such peers understand each other.

    Raises:
        InvalidArgument: as `as_codec`; an empty list, or two codecs of one name.
    """
    codecs: dict[str, Codec] = {}
    for each in value if isinstance(value, list | tuple) else (value,):
        codec = as_codec(each)
        if codec.name in codecs:
            raise InvalidArgument(f"two codecs are named {codec.name!r}: peers go by the names, so give each its own")
        codecs[codec.name] = codec
    if not codecs:
        raise InvalidArgument(f"a list of codecs must name one; {_CHOICE}")
    if not _BUILT_IN.keys().isdisjoint(codecs):
        for name, codec in _BUILT_IN.items():
            codecs.setdefault(name, codec)
    return codecs


def batch_decode(codec: Codec, payloads: bytes, lens: Sequence[int] | None, count: int) -> list[object]:
    """The `count` values in the payloads of one EVENT frame, in order.

    Raises:
        InvalidData: the payloads are malformed, or are not `count`; then none of them is given.
    """
    # A single event is a bare payload, in every codec.
    values = codec.decode_many(payloads, lens, count) if count != 1 else [codec.decode(payloads)]
    if len(values) != count:
        raise InvalidData(f"a batch said to hold {count} payloads holds {len(values)}")
    return values


def _unmeasured(name: str, count: int) -> InvalidData:
    return InvalidData(f"a batch of {count} payloads in the codec {name!r} must carry their lengths")


def _type_name(obj: object) -> str:
    return type(obj).__name__


# An exception of the user's may quote all of the data.
_LONGEST_REASON: Final = 200


def _reason(error: Exception) -> str:
    # Not str(error): that is code of the user's too, and this copes with one that raises.
    return "".join(traceback.format_exception_only(error)).strip()[:_LONGEST_REASON]
