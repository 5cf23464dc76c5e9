"""R24. A listener that raised kept the event from the others, and raised into the trigger."""

from __future__ import annotations

import sig


def test_the_others_still_run_and_the_trigger_returns() -> None:
    called: list[str] = []
    errors: list[sig.ListenerError] = []

    def fail(info: sig.Info, data: object) -> None:
        raise ZeroDivisionError

    with sig.Router() as router, router.add_sender("s", "e") as sender:
        router.on_error = errors.append
        router.listen(lambda info, data: called.append("before"), "s", "e")
        router.listen(fail, "s", "e")
        router.listen(lambda info, data: called.append("after"), "s", "e")
        sender.trigger("e")
    assert called == ["before", "after"]
    assert [(type(error.error), error.listener) for error in errors] == [(ZeroDivisionError, fail)]
