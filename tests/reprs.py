"""A codec of the user's."""

from __future__ import annotations

import ast
from threading import Lock

# Two threads inside of `literal_eval` can make it fail in some versions of CPython (gh-106905), once in many thousands.
_alone = Lock()


class Reprs:
    """What Python prints, of plain values: tuples, bytes and sets arrive as they were, which JSON would change."""

    name = "reprs"

    def encode(self, obj: object) -> bytes:
        return repr(obj).encode()

    def decode(self, data: bytes) -> object:
        with _alone:
            return ast.literal_eval(data.decode())
