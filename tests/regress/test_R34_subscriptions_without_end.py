"""R34. Strangers could subscribe without end to names that do not exist."""

from __future__ import annotations

import pytest
from regress.hostile import raw

import sig
from sig.messages import Listen
from sig.protocol.frames import PREFACE, Kind


def test_nothing_before_login_and_a_limit_after() -> None:
    with sig.serve("tcp://127.0.0.1:0", max_subscriptions=10) as server:
        with raw(server.urls[0], hello=False) as stranger:
            stranger.send(PREFACE)
            stranger.call(Listen(1, "s", "e"), 1)
            stranger.wait_for(Kind.ERROR)
        with sig.connect(server.urls[0]) as client:
            for number in range(10):
                client.listen(print, f"nobody/{number}")
            with pytest.raises(sig.Overloaded, match="10 subscriptions"):
                client.listen(print, "nobody/10")
