"""R55. `stop` waited for its threads without end."""

from __future__ import annotations

from regress.hostile import raw

import sig


def test_a_client_that_does_not_go_is_dropped() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as stubborn:
        server.close(0.3)
        assert server.wait(0)
        assert stubborn.closed()
