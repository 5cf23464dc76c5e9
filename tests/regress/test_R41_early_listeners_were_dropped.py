"""R41. A listener that came before its sender was dropped if the sender did not offer the event."""

from __future__ import annotations

import sig


def test_it_stays_and_hears_the_sender_that_does() -> None:
    called: list[object] = []
    with sig.Router() as router:
        router.listen(lambda info, data: called.append(data), "s", "later")
        with router.add_sender("s", "e") as sender:
            sender.trigger("e", 1)
        with router.add_sender("s", "later") as sender:
            sender.trigger("later", 2)
    assert called == [2]
