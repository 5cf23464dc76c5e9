"""What must not be seen: not in a log, not in a traceback, not in a message to somebody else."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn

_SHOWN: Final = "Secret(...)"


class Secret:
    """A text or bytes that is never printed, formatted, copied into a pickle, or compared byte by byte.

    Whoever needs it calls `reveal`, which one can search for.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value: bytes = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The secret itself; a text as UTF-8."""
        return self._value

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> NoReturn:
        # What is hashed is put into tables, whose order and timing tell of it.
        raise TypeError("a Secret cannot be hashed: it belongs into no table")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied: pass it on as it is, or reveal() it where it is used")
