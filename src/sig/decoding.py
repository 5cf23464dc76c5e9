"""Decoding batches of events straight into the types of those who listen, where they agree on one.

That costs less than plain data does, and what would be made of plain data is saved. A batch that does not fit becomes
plain data after all: then each listener finds out by itself what it can take.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import call
from typing import Any, Final

from .codecs import Codec, Decode, batch_decode
from .kinds import recognised

# Without Python's frame that a function of ours would take. `Any`, because checkers do not see through its parameters.
_READ: Final[Any] = call


class Decoding:
    """Decodes what comes in one codec, by routes."""

    def __init__(self, codec: Codec) -> None:
        self.codec: Codec = codec
        self.typed: bool = False
        """Whether every event of the last batch was decoded into a type."""
        self._typed: dict[int, Codec] = {}  # by route, of those where everybody names the same type
        self._codecs: dict[Any, Codec | None] = {}  # by type: routes of one type share one

    def heard(self, route: int, kinds: Sequence[Any], *, unlooked: bool = False) -> None:
        """Those who listen on a route want these types; `None` is plain data.

        Args:
            unlooked: whether what is decoded into a type is not looked at again.
        """
        kind = kinds[0] if kinds else None
        codec = None
        # Others would be looked at once more by each listener, who could not tell them from plain data.
        if kind is not None and (unlooked or recognised(kind)) and all(other is kind for other in kinds):
            if kind not in self._codecs:
                self._codecs[kind] = self.codec.typed(kind)
            codec = self._codecs[kind]
        if codec is None:
            self.unheard(route)
        else:
            self._typed[route] = codec

    def unheard(self, route: int) -> None:
        """Who listens there is not known for now."""
        self._typed.pop(route, None)

    def batch(
        self, payloads: bytes, lens: Sequence[int] | None, count: int, route: int, routes: Sequence[int] | None
    ) -> list[object]:
        """The values of one EVENT, whose events are all of one route, or each of its own of `routes`.

        Raises:
            InvalidData: it cannot be decoded.
        """
        self.typed = False
        values = None
        if routes is not None:
            if self._typed:
                values = self._mixed(payloads, lens, count, routes)
        elif (codec := self._typed.get(route)) is not None:  # soon known: many a batch is one event
            values = _fitting(codec, payloads, lens, count)
            self.typed = values is not None
        return batch_decode(self.codec, payloads, lens, count) if values is None else values

    def _mixed(
        self, payloads: bytes, lens: Sequence[int] | None, count: int, routes: Sequence[int]
    ) -> list[object] | None:
        """`None` where there are no types, or something does not fit."""
        # Of each route once: there are fewer of them than of events.
        codecs = {number: self._typed.get(number) for number in dict.fromkeys(routes)}
        wanted = list(codecs.values())
        first = wanted[0]
        if wanted.count(first) == len(wanted):
            values = None if first is None else _fitting(first, payloads, lens, count)
        elif lens is None:
            return None
        else:
            reads = {number: (codec or self.codec).read for number, codec in codecs.items()}
            values = self._each(payloads, lens, [*map(reads.__getitem__, routes)])
        # Who listens to the others may become known before their turn comes.
        self.typed = values is not None and None not in wanted
        return values

    def _each(self, payloads: bytes, lens: Sequence[int], reads: Sequence[Decode]) -> list[object] | None:
        try:
            if self.codec.lines:  # quicker found than counted
                lines = payloads.split(b"\n")
                return [*map(_READ, reads, lines)] if len(lines) == len(reads) else None
            values: list[object] = []
            start = 0
            for length, read in zip(lens, reads, strict=True):
                values.append(read(payloads[start : start + length]))
                start += length
            return values
        except Exception:  # as there
            return None


def _fitting(codec: Codec, payloads: bytes, lens: Sequence[int] | None, count: int) -> list[object] | None:
    """`None` where something does not fit."""
    try:
        return batch_decode(codec, payloads, lens, count)
    except Exception:  # of any class: types may run code of the user's
        return None
