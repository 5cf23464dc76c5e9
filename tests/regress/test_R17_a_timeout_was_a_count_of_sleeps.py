"""R17. The timeout was fixed, and a count of sleeps; each request has its own deadline."""

from __future__ import annotations

import threading

import pytest
from regress.hostile import LIMIT_S

import sig


def test_each_request_has_its_own_deadline() -> None:
    go_on = threading.Event()
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"wait": lambda params: go_on.wait(LIMIT_S)})
        for timeout in (0.05, 0.1):
            with pytest.raises(sig.RequestTimeout) as caught:
                client.request("s", "wait", timeout=timeout)
            assert 0 <= caught.value.timeout <= timeout  # what was left when it was asked
        go_on.set()
