"""A million events from one process to another, in order, while listeners come and go."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

import sig

EVENTS = 1_000_000
# So many are under way at most: less than any queue holds, so that nothing may be lost.
AT_ONCE = 20_000

# The sender is a process of its own. Before each share it asks the consumer how far it is.
SENDER = f"""
import sys, sig
with sig.connect(sys.argv[1]) as client, client.add_sender("counter", "count") as counter:
    assert client.sender("consumer").wait(30)
    signal = counter.signal("count")
    for start in range(0, {EVENTS}, {AT_ONCE}):
        client.request("consumer", "reached", start, timeout=60)
        for number in range(start, start + {AT_ONCE}):
            signal.trigger(number)
    client.request("consumer", "reached", {EVENTS}, timeout=60)
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_million_events_arrive_in_order_while_listeners_come_and_go() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        expected = 0
        wrong: list[tuple[int, object]] = []
        moved = threading.Condition()

        def count(info: sig.Info, data: object) -> None:
            nonlocal expected
            if data != expected:
                wrong.append((expected, data))
            expected += 1
            if not expected % AT_ONCE:
                with moved:
                    moved.notify_all()

        def reached(number: int) -> int:
            with moved:
                assert moved.wait_for(lambda: expected >= number, 50)
            return expected

        subscription = client.listen(count, "counter", "count")
        over = threading.Event()
        joined = [0] * 20
        failed: list[BaseException] = []

        def come_and_go(place: int) -> None:
            selectors = [("counter", "count"), ("counter", None), (None, "count"), ("**", None), ("*", "count")]
            try:
                while not over.wait(0.05):
                    last = -1

                    def follow(info: sig.Info, data: object) -> None:
                        nonlocal last
                        if isinstance(data, int):
                            assert last in (-1, data - 1), "a listener missed an event, or got one twice"
                            last = data

                    with client.listen(follow, *selectors[place % 5]):
                        over.wait(0.02)
                    joined[place] += 1
            except BaseException as error:
                failed.append(error)

        client.on_error = lambda error: failed.append(error.error)
        threads = [threading.Thread(target=come_and_go, args=(place,)) for place in range(20)]
        with client.add_sender("consumer", requests={"reached": reached}):
            for thread in threads:
                thread.start()
            try:
                done = subprocess.run(
                    [sys.executable, "-c", SENDER, server.urls[0]], capture_output=True, text=True, timeout=170
                )
            finally:
                over.set()
                for thread in threads:
                    thread.join()
        assert (done.returncode, done.stderr) == (0, "")
        assert (failed, wrong, expected) == ([], [], EVENTS)
        assert (subscription.received, subscription.missed) == (EVENTS, 0)
        assert min(joined) > 0
