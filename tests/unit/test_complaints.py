"""What listeners raise and what does not fit is told once, to the log and to `on_error`, and harms nobody."""

from __future__ import annotations

import linecache
import subprocess
import sys
import threading

import pytest

import sig
from sig.info import info_of


def nothing(info: object, data: object) -> None: ...


def test_a_failure_is_logged_with_the_listener_and_both_places(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(info: sig.Info, data: object) -> None:
        raise ValueError("out of order")  # raised

    router.listen(failing, "s", "e")
    sender = router.add_sender("s", ["e"])
    sender.trigger("e", "a secret")  # triggered
    (record,) = caplog.records
    first, raised, triggered = record.getMessage().split("\n")
    name = f"{__name__}.{failing.__qualname__}"
    assert first == f"listener {name} failed at 'e' of 's': ValueError: out of order"
    assert (record.name, record.levelname) == ("sig", "ERROR")
    assert source(raised, "  at ").endswith("# raised")
    assert source(triggered, "  triggered at ").endswith("# triggered")
    assert "secret" not in record.getMessage()


FAILING = """
import sig, sys
with sig.Router() as router:
    router.on_error = eval(sys.argv[1])
    router.listen(lambda info, data: 1 / 0, "s", "e")
    router.add_sender("s", ["e"]).trigger("e")
"""


@pytest.mark.parametrize(("on_error", "told"), [("None", True), ("lambda failure: None", False)])
def test_what_neither_a_log_nor_on_error_would_hear_is_told_on_standard_error(on_error: str, told: bool) -> None:
    done = subprocess.run([sys.executable, "-c", FAILING, on_error], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")
    assert ("failed at 'e' of 's': ZeroDivisionError: division by zero\n  at <string>" in done.stderr) is told
    assert told or done.stderr == ""


def source(line: str, before: str) -> str:
    """The source that a line of the log points to."""
    assert line.startswith(before)
    file, number, _ = line.removeprefix(before).split(", ")
    return linecache.getline(file, int(number.split()[1])).rstrip()


def test_a_failure_behind_a_queue_is_logged_without_the_place_of_the_trigger(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()
    router.on_error = lambda failure: failed.set()
    router.listen(lambda info, data: 1 / 0, "s", "e", queue=1)
    router.add_sender("s", ["e"]).trigger("e")
    assert failed.wait(10)
    text = caplog.records[0].getMessage()
    assert "ZeroDivisionError: division by zero\n  at " in text
    assert "triggered at" not in text


def test_a_failure_that_cannot_be_shown_is_logged_all_the_same(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise self

    heard: list[object] = []

    def failing(info: sig.Info, data: object) -> None:
        raise Hostile

    router.listen(failing, "s", "e")
    router.listen(lambda info, data: heard.append(data), "s", "e")
    router.add_sender("s", ["e"]).trigger("e", 1)
    assert heard == [1]
    assert "Hostile: <exception str() failed>" in caplog.text


def test_an_error_without_a_traceback_is_logged_without_a_place(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = router.listen(nothing)
    router._complaints.listener_failed(subscription, ValueError("made, not raised"), info_of("s", "e"))
    lines = caplog.records[0].getMessage().split("\n")
    assert [line.split()[0] for line in lines] == ["listener", "triggered"]


def test_an_on_error_that_raises_is_logged_and_harms_nobody(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []

    def worse(failure: sig.ListenerError) -> None:
        raise KeyError("worse")

    router.on_error = worse
    router.listen(lambda info, data: 1 / 0, "s", "e")
    router.listen(lambda info, data: heard.append(data), "s", "e")
    router.add_sender("s", ["e"]).trigger("e", 1)
    assert heard == [1]
    assert "on_error itself failed: KeyError: 'worse'\n  at " in caplog.records[1].getMessage()


def test_keyboard_interrupt_in_on_error_is_not_swallowed(router: sig.Router) -> None:
    def interrupted(failure: sig.ListenerError) -> None:
        raise KeyboardInterrupt

    router.on_error = interrupted
    router.listen(lambda info, data: 1 / 0, "s", "e")
    sender = router.add_sender("s", ["e"])
    with pytest.raises(KeyboardInterrupt):
        sender.trigger("e")


def test_who_wants_other_data_than_a_sender_triggers_is_told_once(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    def number(info: sig.Info, data: int) -> None: ...

    def text(info: sig.Info, data: str) -> None: ...

    def own(info: sig.Info, data: object) -> None: ...

    failed: list[sig.ListenerError] = []
    router.on_error = failed.append
    router.listen(number, "s", "*")
    router.listen(own, "s", "*", type=sig.Router)
    sender = router.add_sender("s", {"e": str, "f": int, "any": None})
    router.listen(text, "s", "e")
    router.listen(text, "s", "any")
    router.listen(own, "s", "e", type=str | None)
    sentence = "takes int, and 's' triggers 'e' with other data: $ is a string, not an integer"
    assert [(error.listener, error.info.event) for error in failed] == [(number, "e")]
    assert isinstance(failed[0].error, sig.InvalidData)
    assert str(failed[0].error).endswith(sentence)
    sender.remove()
    router.add_sender("s", {"e": str})
    assert len(failed) == 1
    router.listen(text, None, "f")
    router.add_sender("t", {"f": int})
    assert [(error.listener, error.info.sender) for error in failed[1:]] == [(text, "t")]
    assert len(caplog.records) == 2


def test_so_many_differences_are_remembered_and_no_more(router: sig.Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sig.complaints._MOST_DIFFERENCES", 2)
    failed: list[str] = []
    router.on_error = lambda error: failed.append(error.info.event)
    router.add_sender("s", dict.fromkeys("abc", str))
    for event in "aabca":
        router.listen(print, "s", event, type=int)
    assert failed == ["a", "b", "c", "a"]


def test_a_handler_that_breaks_its_word_is_reported_too(router: sig.Router) -> None:
    def wrong(params: object) -> int:
        return "five"  # type: ignore[return-value]  # the mistake in question

    failed: list[sig.ListenerError] = []
    router.on_error = failed.append
    router.add_sender("s", requests=[wrong])
    with pytest.raises(TypeError, match=r"wrong of request 'wrong' says that it answers with int: Expected `int`"):
        router.request("s", "wrong")
    [told] = failed
    assert isinstance(told.error, TypeError)
    assert told.listener is wrong
    assert (told.info.sender, told.info.event) == ("s", "wrong")
