"""R27. Requests that led to each other held a thread at each hop, and ended in a deadlock of 10 s."""

from __future__ import annotations

import pytest

import sig


def test_requests_may_lead_to_each_other_and_circles_are_found() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as one,
        sig.connect(server.urls[0]) as other,
    ):
        one.add_sender("a", requests={"there": lambda params: one.request("b", "back"), "end": lambda params: "end"})
        other.add_sender("b", requests={"back": lambda params: other.request("a", "end")})
        assert server.request("a", "there", timeout=10) == "end"
        one.add_sender("c", requests={"round": lambda params: one.request("c", "round")})
        with pytest.raises(sig.LoopDetected):
            server.request("c", "round", timeout=10)
