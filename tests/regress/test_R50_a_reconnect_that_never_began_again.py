"""R50: a reconnect that had just ended could keep the next from ever beginning."""

from __future__ import annotations

import threading

from net.proxy import Proxy

import sig

LIMIT_S = 30


def test_each_loss_is_followed_by_a_link_however_soon_it_comes() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        proxy = Proxy(server.urls[0])
        try:
            with sig.connect(proxy.url, reconnect_first_s=0.001, reconnect_longest_s=0.01) as client:
                back = threading.Event()
                client.on_connected = back.set
                for _ in range(20):
                    back.clear()
                    proxy.cut()
                    assert back.wait(LIMIT_S)
                assert client.wait_connected(LIMIT_S)
                assert client.senders() == []
        finally:
            proxy.close()
