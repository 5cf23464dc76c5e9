"""R25. Who listened to everything could hear an event twice."""

from __future__ import annotations

import sig


def test_one_registration_is_one_call() -> None:
    called: list[str] = []
    with sig.Router() as router:
        for selector in ((None, None), ("s", None), (None, "#e"), ("s", "#e"), ("**", "**")):
            router.listen(lambda info, data, name=str(selector): called.append(name), *selector)
        with router.add_sender("s", "#e") as sender:
            called.clear()
            sender.trigger("#e")
            assert len(called) == len(set(called)) == 5
