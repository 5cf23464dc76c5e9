"""A sender that comes while a client is away, and triggers: the client's listeners are told how much they missed."""

from __future__ import annotations

import queue

from net.proxy import LIMIT_S, Proxy

import sig


def test_what_a_sender_has_triggered_that_came_meanwhile_is_told(server: sig.ServerRouter, proxy: Proxy) -> None:
    told: queue.SimpleQueue[object] = queue.SimpleQueue()
    with sig.connect(proxy.url, reconnect_first_s=0.05, reconnect_longest_s=0.1) as client:
        left: queue.SimpleQueue[None] = queue.SimpleQueue()
        client.on_disconnected = lambda: left.put(None)
        client.listen(lambda info, data: told.put(data), "s", "*", on_gap=lambda info, gap: told.put((info.event, gap)))
        proxy.cut_off()
        left.get(timeout=LIMIT_S)
        late = client.listen(lambda info, data: None, "s", "*")
        sender = server.add_sender("s", ["e", "f", "g"])
        for number in range(3):
            sender.trigger("e", number)
        sender.trigger("f", 0)
        server.flush()
        proxy.accept()
        assert client.wait_connected(LIMIT_S)
        for event in "efg":
            sender.trigger(event, event)
        found = [told.get(timeout=LIMIT_S) for _ in range(5)]
        assert found == [
            ("e", sig.Gap(3, "lost_link")),
            ("f", sig.Gap(1, "lost_link")),
            "e",
            "f",
            "g",
        ]
        assert late.missed == 0  # it began to listen when it was registered
