"""R42. Listening to an unknown event failed or not, depending on whether the sender was there."""

from __future__ import annotations

import sig


def test_it_is_registered_either_way_and_the_answer_is_about_now() -> None:
    called: list[str] = []
    with sig.Router() as router:
        assert router.addListener(lambda info, data: called.append("early"), "s", "x") is True
        sender = router.add_sender("s", "e")
        assert router.addListener(lambda info, data: called.append("late"), "s", "x") is False
        sender.remove()
        with router.add_sender("s", "x") as sender:
            sender.trigger("x")
    assert called == ["early", "late"]
