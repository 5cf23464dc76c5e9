"""What is sent, and how it becomes bytes: the same for every contestant."""

from __future__ import annotations

import time
from typing import Any

import msgspec

Event = dict[str, Any]

# One clock for all processes of a machine: what one stamps, another may subtract.
clock = time.monotonic

# For those who leave encoding to their users. `sig` is left to its own JSON, which is this one.
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

# A frame of `sig` may hold 16 MiB with everything around the payload: the largest events stay this far below.
HEADROOM = 1024


def sample(size: int = 0) -> Event:
    """The event that every case triggers: small, or `size` bytes (less some headroom) when encoded.

    `seq` and `ts` are set before each trigger. The same dict is used again: everybody encodes when asked to send.
    """
    event: Event = {"seq": 0, "ts": clock(), "name": "sensor-7"}
    if not size:
        return event | {"values": [20.1, 20.2, 20.3, 20.4, 20.5]}
    return event | {"blob": "x" * (size - HEADROOM - len(encode(event)))}
