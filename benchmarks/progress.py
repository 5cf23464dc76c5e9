"""How it is going, on standard error."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """One line, over the one before where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
