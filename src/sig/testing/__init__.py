"""For tests: of programs that use `sig`, and of carriers that somebody wrote. `sig.testing.aio` is for asyncio."""

from .blocking import Capture, capture, pair, settle
from .clock import Clock

__all__ = ["Capture", "Clock", "capture", "pair", "settle"]
