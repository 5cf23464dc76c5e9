"""For the storm: answers in parts, as the reference sees them, and payloads in whatever codec an owner has."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec
from protocol.pairs import Cut

from sig.protocol.asking import Coded, Payloads
from sig.protocol.calls import Done
from sig.protocol.client import ClientCore
from sig.protocol.parts import PartsIn, PartsOut

# What a part holds beside its number: mostly nothing, sometimes so much that a few fill the window.
SIZES: Final = (0, 0, 0, 0, 300, 300, 3_000, 70_000)


class Backwards:
    """A codec that nobody else has: what it says has to be put into another."""

    name = "backwards"

    def encode(self, obj: object) -> bytes:
        return msgspec.json.encode(obj)[::-1]

    def decode(self, data: bytes) -> object:
        return msgspec.json.decode(bytes(data)[::-1])


# Of the clients, in turn; the server has them all.
CODECS: Final[tuple[object, ...]] = ("json", "msgpack", Backwards(), "json")
SERVER: Final = ["json", Backwards()]


def encoded(core: ClientCore, sender: str, value: object) -> bytes | Payloads:
    """Parameters as a client sends them: in the sender's codec, or in each that it may have."""
    codec = core.asking.codec_of(sender)
    if codec is core.codec:
        return codec.encode(value)
    if codec is not None:
        return {codec.name: codec.encode(value)}
    return {name: each.encode(value) for name, each in core.codecs.items()}


def decoded(core: ClientCore, answer: Any) -> object:
    return answer.codec.decode(answer.payload) if isinstance(answer, Coded) else core.codec.decode(answer)


def pieces(seed: int) -> Cut:
    """Pieces of any size; of much there are large ones too, else all the time would go there."""
    chance = random.Random(seed)

    def cut(data: bytes) -> list[bytes]:
        parts, start = [], 0
        while start < len(data):
            end = start + chance.randint(1, 40 + (len(data) - start) // 4)
            parts.append(data[start:end])
            start = end
        return parts

    return cut


class Flow:
    """The parts of one answer.

    Args:
        number: stands in each of them, before its place.
        check: told what is so, and what was promised.
    """

    def __init__(self, number: int, done: Done, check: Callable[[object, str], object]) -> None:
        self.given = 0
        self.taken = 0
        self.parts = PartsIn(int)
        self._number = number
        self._done = done
        self._check = check

    @property
    def room(self) -> int:
        """How much more may come."""
        return self.parts._granted - self.parts._spent

    def finish(self, value: object, error: BaseException | None) -> None:
        """Nothing more will come: what has come is taken first."""
        self.parts.finish(value, error)
        while self._take():
            pass
        whole = self.taken == self.given
        self._check(
            whole or error is not None, f"{self.given} parts of {self._number} were given, and {self.taken} came"
        )
        self._done(value, error)

    def take(self, core: ClientCore, call: int) -> bool:
        """Take some of the parts that have come; whether more may be given for them."""
        owes = self._take() and self.parts.owes
        if owes:
            core.asking.give_back(call, self.parts)
        return owes

    def _take(self) -> bool:
        some = self.parts.take()
        for part in some or ():
            assert isinstance(part, list)
            self._check(part[:2] == [self._number, self.taken], f"part {self.taken} of {self._number} is {part!r:.50}")
            self.taken += 1
        self._check(self.taken <= self.given, f"more came of {self._number} than was given")
        return some is not None


def left(parts: PartsOut) -> int:
    """What may still be given, if all credit has come."""
    return parts._granted - parts._spent
