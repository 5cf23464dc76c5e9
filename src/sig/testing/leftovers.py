"""Threads of ours that have outlived their routers."""

from __future__ import annotations

import threading
import time
from typing import Final

# One that has been told to end may need a moment; one that has not never will.
_GRACE_S: Final = 2.0
_STEP_S: Final = 0.002


def our_threads() -> set[threading.Thread]:
    """Those that routers have started and not ended."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("sig-")}


def left_behind(before: set[threading.Thread]) -> list[str]:
    """The names of those that were not there before and do not end."""
    deadline = time.monotonic() + _GRACE_S
    while (left := our_threads() - before) and time.monotonic() < deadline:
        time.sleep(_STEP_S)
    return sorted(thread.name for thread in left)
