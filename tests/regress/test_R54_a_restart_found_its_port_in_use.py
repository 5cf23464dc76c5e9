"""R54. A server that was started again found its port in use."""

from __future__ import annotations

import sig


def test_the_same_port_at_once() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        url = server.urls[0]
        client = sig.connect(url)
    client.close()
    with sig.serve(url) as server:
        assert server.urls == [url]
