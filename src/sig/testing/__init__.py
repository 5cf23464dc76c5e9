"""For tests: of programs that use `sig`, and of carriers that somebody wrote. `sig.testing.aio` is for asyncio."""

from .blocking import Capture, capture, pair, settle
from .carriers import Check, carrier_checks, check_carrier
from .clock import Clock
from .faults import Fault, Faults
from .stage import Ends

__all__ = [
    "Capture",
    "Check",
    "Clock",
    "Ends",
    "Fault",
    "Faults",
    "capture",
    "carrier_checks",
    "check_carrier",
    "pair",
    "settle",
]
