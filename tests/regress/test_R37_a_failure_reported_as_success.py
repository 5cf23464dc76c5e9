"""R37. A failing handler was reported as the answer `{}`."""

from __future__ import annotations

import pytest

import sig


def test_a_failing_handler_fails_the_request() -> None:
    def fail(params: object) -> None:
        raise RuntimeError("out of ink")

    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"m": fail})
        with pytest.raises(sig.RemoteError, match="out of ink"):
            client.request("s", "m")
