"""Requests that are given up as soon as they were made: others are answered meanwhile, and no slot stays taken."""

from __future__ import annotations

import time

import sig

LIMIT_S = 30
TIMES = 3_000


def test_others_are_answered_and_all_slots_come_back() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as owner,
        sig.connect(server.urls[0]) as rapid,
        sig.connect(server.urls[0]) as honest,
    ):
        owner.add_sender("s", "e", {"m": lambda params: params})
        refused = 0
        for number in range(TIMES):
            try:
                rapid.start_request("s", "m", timeout=LIMIT_S).cancel()
            except sig.Overloaded:
                refused += 1
            if number % 100 == 0:
                assert honest.request("s", "m", number, timeout=LIMIT_S) == number
        # All are answered or given up by now, or are before what is asked last.
        assert rapid.request("s", "m", "last", timeout=LIMIT_S) == "last"
        deadline = time.monotonic() + LIMIT_S
        while any((link.requests_out, link.requests_in) != (0, 0) for link in server.stats().links):
            assert time.monotonic() < deadline, server.stats().links
            time.sleep(0.01)
        assert refused < TIMES
