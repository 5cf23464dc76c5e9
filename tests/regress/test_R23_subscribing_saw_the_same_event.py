"""R23. A listener added while an event was told got that very event, and could loop for ever."""

from __future__ import annotations

import sig


def test_a_new_listener_hears_the_next_event_only() -> None:
    called: list[object] = []
    with sig.Router() as router, router.add_sender("s", "e") as sender:

        def add_another(info: sig.Info, data: object) -> None:
            called.append(data)
            router.listen(add_another, "s", "e")

        router.listen(add_another, "s", "e")
        for number in range(4):
            sender.trigger("e", number)
    assert [called.count(number) for number in range(4)] == [1, 2, 4, 8]
