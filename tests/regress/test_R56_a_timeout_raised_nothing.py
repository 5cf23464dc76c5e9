"""R56. On a timeout a bare `raise` had nothing to raise again; a timeout has its own class."""

from __future__ import annotations

import pytest
from regress.hostile import raw

import sig
from sig.messages import AddSender
from sig.protocol.frames import Kind


def test_a_timeout_is_a_timeout_error_with_a_sentence() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as owner, sig.connect(server.urls[0]) as client:
        owner.call(AddSender("s", [], ["m"]), 1)
        owner.wait_for(Kind.RESULT)
        with pytest.raises(TimeoutError, match="'s' has not answered 'm'") as caught:
            client.request("s", "m", timeout=0.1)
        assert isinstance(caught.value, sig.RequestTimeout)
