"""Logging: one logger that stays, whatever stands behind it, and that never hurts who logs."""

from __future__ import annotations

import inspect
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig import log
from sig.log import LOG_LEVELS, NullLogger, SimpleLogger, logger, setup_logger, stringify_object

METHODS = ["debug", "info", "warning", "error", "critical", "exception"]


@pytest.fixture(autouse=True)
def default_logger() -> Iterator[None]:
    yield
    setup_logger()


class Collector:
    """A user's logger, with the methods of the standard library and nothing else."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def debug(self, text: str) -> None:
        self.lines.append(("debug", text))

    def info(self, text: str) -> None:
        self.lines.append(("info", text))

    def warning(self, text: str) -> None:
        self.lines.append(("warning", text))

    def error(self, text: str) -> None:
        self.lines.append(("error", text))

    def critical(self, text: str) -> None:
        self.lines.append(("critical", text))

    def exception(self, text: str) -> None:
        self.lines.append(("exception", text))


def here() -> int:
    """The line that calls."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def caught() -> ValueError:
    try:
        raise ValueError("boom")
    except ValueError as error:
        return error


# -- the standard library's logger ---------------------------------------------------------------


def test_by_default_the_logger_sig_is_used_and_silent(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = [type(handler) for handler in logging.getLogger("sig").handlers]
    assert [handler for handler in handlers if handler.__module__ == "logging"] == [logging.NullHandler]
    logger.error("nobody listens")
    assert capsys.readouterr() == ("", "")


# -- what would be heard by nobody -----------------------------------------------------------------


@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """As in a program of its own: those of pytest and of our tests are not there."""
    tell = log._LastWords()

    def say(text: str) -> None:
        with monkeypatch.context() as alone:
            for found in (logging.root, logging.getLogger("sig")):
                alone.setattr(found, "handlers", [h for h in found.handlers if type(h).__module__ == "logging"])
            tell(text)

    return say


def test_what_nobody_would_hear_is_told(last_words: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    last_words("the %s is broken")
    assert capsys.readouterr() == ("", "sig: the %s is broken\n")


def test_who_fails_all_the_time_does_not_fill_the_screen(
    last_words: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(50):
        last_words(f"failed at {number}")
    more = "sig: no more is shown here; logging.basicConfig() shows all"
    assert capsys.readouterr().err.splitlines() == [*(f"sig: failed at {n}" for n in range(10)), more]


@pytest.mark.parametrize("name", ["", "sig"])
def test_whoever_says_where_the_log_goes_is_told_there_alone(
    last_words: Callable[[str], None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler(io.StringIO())
    logging.getLogger(name).addHandler(handler)
    try:
        last_words("the roof is on fire")
    finally:
        logging.getLogger(name).removeHandler(handler)
    assert capsys.readouterr() == ("", "")


def test_whoever_wants_silence_has_it(
    last_words: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as quiet:
        quiet.setattr(logging, "lastResort", None)
        last_words("nobody listens")
    with monkeypatch.context() as quiet:
        quiet.setattr(logging.getLogger("sig"), "disabled", True)
        last_words("nobody listens")
    setup_logger(NullLogger())
    last_words("nobody listens")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("method", METHODS)
def test_records_carry_level_text_and_the_callers_line(method: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sig")
    line = here() + 1
    getattr(logger, method)("%s is %d", "x", 5)
    (record,) = caplog.records
    assert (record.name, record.getMessage(), record.lineno) == ("sig", "x is 5", line)
    assert record.funcName == "test_records_carry_level_text_and_the_callers_line"
    assert record.levelname == ("ERROR" if method == "exception" else method.upper())
    assert record.exc_info in (None, (None, None, None))


def test_nothing_is_formatted_for_nobody() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    logging.getLogger("sig").setLevel(logging.WARNING)
    try:
        logger.debug("%s", Costly())
    finally:
        logging.getLogger("sig").setLevel(logging.NOTSET)


@pytest.mark.parametrize("method", ["warning", "error", "critical"])
def test_an_exception_can_be_handed_in(method: str, caplog: pytest.LogCaptureFixture) -> None:
    error = caught()
    getattr(logger, method)("failed", exc_info=error)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_the_exception_being_handled_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "ValueError('boom')"


def test_an_adapter_is_a_standard_logger_too(caplog: pytest.LogCaptureFixture) -> None:
    setup_logger(logging.LoggerAdapter(logging.getLogger("mine"), {}))
    line = here() + 1
    logger.error("to %s", "mine")
    (record,) = caplog.records
    assert (record.name, record.getMessage(), record.lineno) == ("mine", "to mine", line)


# -- any other logger ----------------------------------------------------------------------------


def test_any_object_with_the_methods_gets_finished_texts() -> None:
    mine = Collector()
    setup_logger(mine)
    for method in METHODS:
        getattr(logger, method)("%s: %d", method, 5)
    assert mine.lines == [(method, f"{method}: 5") for method in METHODS]


def test_it_gets_the_traceback_of_an_exception_that_was_handed_in() -> None:
    mine = Collector()
    setup_logger(mine)
    logger.error("failed", exc_info=caught())
    ((_, text),) = mine.lines
    assert text.startswith("failed\nTraceback (most recent call last):\n")
    assert text.endswith("\nValueError: boom")


def test_its_own_exception_method_finds_the_traceback_itself() -> None:
    mine = Collector()
    setup_logger(mine)
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    assert mine.lines == [("exception", "failed")]


class CollectorOfOld:
    """A logger written for pysig 0.7, which had `trace` and no `exception`."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def trace(self, text: str) -> None:
        self.lines.append(("trace", text))

    debug, info, warning, critical = (trace,) * 4

    def error(self, text: str) -> None:
        self.lines.append(("error", text))


def test_a_logger_of_0_7_gets_exceptions_as_errors_with_their_traceback() -> None:
    old = CollectorOfOld()
    setup_logger(old)
    logger.trace("in detail")
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    (_, (method, text)) = old.lines
    assert old.lines[0] == ("trace", "in detail")
    assert (method, text.splitlines()[0], text.splitlines()[-1]) == ("error", "failed", "ValueError: boom")


def test_what_has_no_trace_gets_it_as_debug(caplog: pytest.LogCaptureFixture) -> None:
    mine = Collector()
    setup_logger(mine)
    logger.trace("in detail")
    assert mine.lines == [("debug", "in detail")]
    setup_logger()
    caplog.set_level(logging.DEBUG, "sig")
    logger.trace("in detail")
    assert [(record.levelno, record.lineno) for record in caplog.records] == [(logging.DEBUG, here() - 1)]


def test_none_brings_the_default_back(caplog: pytest.LogCaptureFixture) -> None:
    mine = Collector()
    setup_logger(mine)
    setup_logger(None)
    logger.error("back")
    assert mine.lines == []
    assert caplog.messages == ["back"]


def test_an_object_that_is_no_logger_is_refused_and_changes_nothing() -> None:
    class Half:
        debug = info = warning = staticmethod(print)
        error = "not callable"

    before = logger.sink
    with pytest.raises(TypeError, match=r"needs the methods debug, .* lacks error, critical$"):
        setup_logger(Half())  # type: ignore[arg-type]
    assert logger.sink is before


def test_a_logger_that_raises_is_reported_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Collector):
        def warning(self, text: str) -> None:
            raise OSError("disk full")

    setup_logger(Broken())
    logger.warning("careful: %s", "ice")
    (record,) = caplog.records
    assert record.getMessage() == "the logger 'Broken', set by setup_logger, has failed on: careful: ice"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OSError)


def test_arguments_that_do_not_fit_are_shown_beside_the_text() -> None:
    class Sulky:
        def __repr__(self) -> str:
            raise ValueError

    mine = Collector()
    setup_logger(mine)
    logger.info("%d", "five")
    logger.info("%r", Sulky())
    assert mine.lines == [("info", '"%d" "five"'), ("info", '"%r" <Sulky>')]


def test_the_null_logger_says_nothing(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    setup_logger(NullLogger())
    for method in METHODS:
        getattr(logger, method)("text")
        getattr(NullLogger(), method)("text %s", "x")
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


# -- SimpleLogger --------------------------------------------------------------------------------


def test_levels_are_those_of_the_standard_library() -> None:
    assert [getattr(LOG_LEVELS, f"LEVEL_{method.upper()}") for method in METHODS[:5]] == [10, 20, 30, 40, 50]


def test_one_level_shows_everything_and_one_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    SimpleLogger(level=LOG_LEVELS.LEVEL_TRACE).trace("in detail %d", 5)
    assert capsys.readouterr().out.endswith("[TRACE]-in detail 5\n")
    SimpleLogger(level=LOG_LEVELS.LEVEL_NONE).critical("lost")
    NullLogger().trace("in detail")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("through", ["directly", "through sig"])
@pytest.mark.parametrize("method", METHODS)
def test_a_line_tells_tag_line_function_and_level(
    method: str, through: str, capsys: pytest.CaptureFixture[str]
) -> None:
    simple = SimpleLogger(tag="<t>", level=LOG_LEVELS.LEVEL_DEBUG)
    setup_logger(simple)
    write = getattr(simple if through == "directly" else logger, method)
    line = here() + 1
    write("x is %d", 5)
    level = "ERROR" if method == "exception" else method.upper()
    expected = f"<t>[{line}][test_a_line_tells_tag_line_function_and_level][{level}]-x is 5\n"
    if method == "exception":
        expected += "NoneType: None\n"
    assert capsys.readouterr() == (expected, "")


def test_the_default_tag_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    simple = SimpleLogger()
    simple.debug("not this")
    simple.info("but this")
    out = capsys.readouterr().out
    assert out.startswith("[sig][")
    assert out.endswith("-but this\n")
    assert out.count("\n") == 1


def test_an_exception_brings_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        SimpleLogger().exception("failed")
    out = capsys.readouterr().out
    assert "[ERROR]-failed\nTraceback (most recent call last):\n" in out
    assert out.endswith("ValueError: boom\n")


def test_a_terminal_that_cannot_show_a_text_shows_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.BytesIO()
    with io.TextIOWrapper(plain, encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        SimpleLogger().info("21 °C")
        monkeypatch.undo()
        terminal.flush()
        assert plain.getvalue().endswith(b"-21 \\xb0C\n")


def test_a_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    class Writes(io.StringIO):
        def write(self, text: str) -> int:
            if text:
                texts.append(text)
            return len(text)

    texts: list[str] = []
    monkeypatch.setattr(sys, "stdout", Writes())
    SimpleLogger().info("whole")
    monkeypatch.undo()
    (text,) = texts
    assert text.endswith("-whole\n")


# -- stringify_object ----------------------------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_what_json_knows_is_shown_as_indented_json(value: object) -> None:
    assert json.loads(stringify_object(value)) == value
    assert stringify_object({"a": [1]}) == '{\n    "a": [\n        1\n    ]\n}'


def test_what_json_does_not_know_is_shown_as_python_does() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert stringify_object(loop) == "[[...]]"
    assert stringify_object({(1, 2): 3}) == "{(1, 2): 3}"
    assert stringify_object({"data": b"\xff"}) == '{\n    "data": "b\'\\\\xff\'"\n}'
    assert stringify_object("grün") == '"grün"'


def test_what_nobody_can_show_is_named() -> None:
    class Sulky:
        def __repr__(self) -> str:
            raise ValueError

    assert stringify_object(Sulky()) == "<Sulky>"
    assert stringify_object([Sulky()]) == "<list>"
