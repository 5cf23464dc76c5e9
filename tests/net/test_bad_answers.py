"""Handlers that do wrong cost the call that they answer, and nothing else.

Answers that come twice are in test_second_reply, forged ones in test_request_truth, parts that nobody takes in
test_streams.
"""

from __future__ import annotations

import threading

import pytest
from net.raw import LIMIT_S

import sig
from sig.testing.stage import becomes


def measure(params: object) -> float:
    return params  # type: ignore[return-value]  # perhaps


def test_an_answer_of_the_wrong_type(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    told: list[str] = []
    with sig.connect(server.urls[0]) as owner:
        owner.on_error = lambda failed: told.append(str(failed.error))
        owner.add_sender("s", requests={"measure": measure, "echo": lambda params: params})
        for _ in range(2):
            with pytest.raises(sig.RemoteError, match="says that it answers with float: Expected `float`, got `str`"):
                caller.request("s", "measure", "warm", timeout=LIMIT_S)
            with pytest.raises(sig.InvalidData, match="'s' answered 'echo' with other data: Expected `float`"):
                caller.request("s", "echo", "warm", type=float, timeout=LIMIT_S)
            assert caller.request("s", "measure", 1.5, timeout=LIMIT_S) == 1.5
        becomes(lambda: len(told), 2)
        assert (caller.state, owner.state) == ("connected", "connected")


def test_a_handler_that_never_ends(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    begun, end = threading.Event(), threading.Event()

    def never(params: object) -> None:
        begun.set()
        end.wait()

    with sig.connect(server.urls[0]) as owner:
        owner.add_sender("s", requests={"never": never, "echo": lambda params: params})
        try:
            stuck = caller.start_request("s", "never", timeout=LIMIT_S)
            assert begun.wait(LIMIT_S)
            for number in range(20):
                assert caller.request("s", "echo", number, timeout=LIMIT_S) == number
            with pytest.raises(sig.RequestTimeout, match=r"has not answered 'never' within 0\.05 s"):
                caller.request("s", "never", timeout=0.05)
            assert not stuck.done()
            assert stuck.cancel()
            assert caller.request("s", "echo", "still", timeout=LIMIT_S) == "still"
        finally:
            end.set()
