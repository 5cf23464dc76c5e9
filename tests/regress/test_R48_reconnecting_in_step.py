"""R48: every client tried again every five seconds, all in the same instant."""

from __future__ import annotations

import random

from sig.constants import Limits
from sig.protocol.retry import Retry


def test_clients_that_lose_their_server_together_do_not_come_back_together() -> None:
    limits = Limits()
    chance = random.Random(48)
    waits = sorted(
        Retry(
            ["a"], chance.random, first_s=limits.reconnect_first_s, longest_s=limits.reconnect_longest_s, settled_s=10
        ).failed(0.0)
        for _ in range(1000)
    )
    assert waits[0] < 0.01
    assert waits[-1] > 0.9 * limits.reconnect_first_s
    assert max(sum(start <= wait < start + 0.05 for wait in waits) for start in waits) < 200
