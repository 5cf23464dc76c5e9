"""R22. A listener that took itself out made the next one miss the event."""

from __future__ import annotations

import sig


def test_nobody_is_skipped() -> None:
    called: list[str] = []
    with sig.Router() as router, router.add_sender("s", "e") as sender:

        def first(info: sig.Info, data: object) -> None:
            called.append("first")
            subscription.close()

        subscription = router.listen(first, "s", "e")
        router.listen(lambda info, data: called.append("second"), "s", "e")
        sender.trigger("e")
        sender.trigger("e")
    assert called == ["first", "second", "second"]
