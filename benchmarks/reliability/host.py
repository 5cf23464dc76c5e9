"""A server that tells of itself: `python -m benchmarks.reliability.host URL`.

It tells its address, and for each line that it is given a JSON object: how many handshakes were ever under way at once,
and how many blocks of memory its objects use. Before that it gives back to the system what it does not use.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys

import sig
from sig.protocol.entrance import Entrance


class Counted:
    """What `Entrance.enter` does, and the most strangers that it has left inside."""

    def __init__(self) -> None:
        self.most = 0
        enter = Entrance.enter

        def counting(entrance: Entrance[object], stranger: object, address: str) -> tuple[object, str] | None:
            outdone = enter(entrance, stranger, address)
            self.most = max(self.most, len(entrance.pending) - (outdone is not None))
            return outdone

        Entrance.enter = counting  # type: ignore[method-assign, assignment]


def _tidy() -> None:
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        pass  # another allocator than glibc's


def main(url: str) -> None:
    counted = Counted()
    with sig.serve(url) as server:
        print(server.urls[0], flush=True)
        for _ in sys.stdin:
            _tidy()
            told = {"strangers_at_once": counted.most, "blocks": sys.getallocatedblocks()}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
