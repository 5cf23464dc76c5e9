"""The asyncio faces with `reliable=True`: every kind of frame over links that are cut anywhere."""

from __future__ import annotations

import asyncio
import random

import pytest
from net.unbroken import Cuts
from net.unbroken_awaited import OVER, cut_anywhere, world

from sig.protocol.frames import FrameReader, Kind
from sig.testing import Fault
from sig.testing.faults import Way

STEP = 179
# Of logins, of heartbeats, of durable events, and of what went wrong.
OTHERS = {Kind.CHALLENGE, Kind.AUTH, Kind.ERROR, Kind.PING, Kind.PONG, Kind.STORED, Kind.LOST, Kind.PEER_GONE}


# All of it, at every byte: python -m benchmarks.reliability reliable
@pytest.mark.parametrize("carrier", OVER)
def test_a_session_that_is_cut_goes_on(carrier: str) -> None:
    found = asyncio.run(cut_anywhere(carrier, STEP, random.randrange(STEP)))
    assert 0 < found.cut <= found.links


class Watched(Way):
    """Counts the kinds of what passes."""

    def __init__(self, kinds: set[int], fault: Fault) -> None:
        super().__init__(fault)
        self._kinds = kinds
        self._reader = FrameReader(1 << 20, preface=True)

    def pass_on(self, data: bytes | memoryview) -> list[bytes]:
        self._kinds |= {frame.kind for frame in self._reader.feed(data)}
        return super().pass_on(data)


class Watching(Cuts):
    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[int] = set()

    def _take(self) -> tuple[Way, Way]:
        super()._take()
        fault = Fault(cut_at=700) if self.opened == 1 else Fault()
        return Watched(self.kinds, fault), Watched(self.kinds, Fault())


def test_the_session_has_every_kind_of_frame() -> None:
    async def main() -> set[int]:
        faults = Watching()
        async with world("local") as there:
            await there.session(faults)
        return faults.kinds

    assert asyncio.run(main()) == set(Kind) - OTHERS
