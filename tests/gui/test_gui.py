"""Executors of windows, on real windows: of Tk on a screen that nobody sees, of Qt offscreen."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from importlib.util import find_spec
from typing import Any

import pytest
from gui.windows import KINDS, LIMIT_S, Window, wait

import sig
import sig.gui


def elsewhere(work: Callable[[], object], executor: sig.gui.GuiExecutor | None = None) -> threading.Thread:
    """Do something in a thread, and wake the window when it is done."""

    def run() -> None:
        work()
        if executor is not None:
            executor.submit(lambda: None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_events_of_other_threads_come_on_the_window_s_in_order(window: Window) -> None:
    heard: list[tuple[object, threading.Thread]] = []
    with sig.Router() as router:
        router.listen(
            lambda info, data: heard.append((data, threading.current_thread())), "s", "e", executor=window.executor
        )
        signal = router.add_sender("s", "e").signal("e")
        thread = elsewhere(lambda: [signal.trigger(number) for number in range(1000)])
        wait(window, lambda: len(heard) == 1000)
        thread.join()
    assert [data for data, _ in heard] == list(range(1000))
    assert {thread for _, thread in heard} == {threading.main_thread()}


def test_what_is_triggered_on_the_window_s_thread_waits_for_its_loop_too(window: Window) -> None:
    heard: list[object] = []
    with sig.Router() as router:
        router.listen(lambda info, data: heard.append(data), "s", "e", executor=window.executor)
        router.add_sender("s", "e").trigger("e", 1)
        assert heard == []
        wait(window, lambda: heard)


def test_the_window_is_woken_for_many_events_at_once(window: Window) -> None:
    heard: list[object] = []
    with sig.Router() as router:
        router.listen(lambda info, data: heard.append(data), "s", "e", executor=window.executor)
        signal = router.add_sender("s", "e").signal("e")
        elsewhere(lambda: [signal.trigger(number) for number in range(5000)]).join()
        steps = 0
        while len(heard) < 5000:
            window.step()
            steps += 1
    assert steps < 500
    wait(window, lambda: window.timers() == 0)


@pytest.mark.parametrize("turn_of_threads_s", [0.0005, 0.02])
def test_a_flood_does_not_freeze_the_window(
    window: Window, turn_of_threads_s: float, threads_take_turns: Callable[[float], None]
) -> None:
    """The listeners never catch up; still the user's timers run, and what they change is painted.

    However long the thread that triggers keeps the interpreter to itself.
    """
    threads_take_turns(turn_of_threads_s)
    ticks: list[object] = []
    painted: list[object] = []
    over = threading.Event()

    def slow(info: sig.Info, data: object) -> None:
        until = time.monotonic() + 0.003
        while time.monotonic() < until:
            pass

    def tick() -> None:
        ticks.append(1)
        window.when_painted(lambda: painted.append(1))

    def flood() -> None:
        while not over.is_set():
            signal.trigger(1)

    window.every(10, tick)
    with sig.Router() as router:
        for _ in range(2):
            router.listen(slow, "s", "e", executor=window.executor, queue=100, on_gap=lambda info, gap: None)
        signal = router.add_sender("s", "e").signal("e")
        thread = elsewhere(flood)
        try:
            wait(window, lambda: len(ticks) > 10 and len(painted) > 10)
        finally:
            over.set()
            thread.join()


def test_a_listener_that_opens_a_dialog_does_not_keep_the_others_from_their_events(window: Window) -> None:
    heard: list[object] = []

    def asks(info: sig.Info, data: object) -> None:
        window.dialog(lambda: len(heard) == 6)
        heard.append("asked")

    with sig.Router() as router:
        router.listen(asks, "s", "e", executor=window.executor, once=True)
        router.listen(lambda info, data: heard.append(data), "s", "e", executor=window.executor)
        signal = router.add_sender("s", "e").signal("e")
        for number in range(3):  # waits behind it
            signal.trigger(number)
        window.executor.submit(signal.trigger, 3)
        thread = elsewhere(lambda: [signal.trigger(number) for number in (4, 5)])
        wait(window, lambda: "asked" in heard)
        thread.join()
    assert sorted(heard[:6], key=str) == [0, 1, 2, 3, 4, 5]
    assert heard[6:] == ["asked"]


def test_over_a_link_too(window: Window) -> None:
    heard: list[object] = []
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        client.listen(
            lambda info, data: heard.append((data, threading.current_thread())), "s", "e", executor=window.executor
        )
        signal = server.add_sender("s", "e").signal("e")
        for number in range(300):
            signal.trigger(number)
        wait(window, lambda: len(heard) == 300)
    assert heard == [(number, threading.main_thread()) for number in range(300)]


def test_request_handlers_of_a_router_may_run_there(window: Window) -> None:
    answers: list[object] = []
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0], executor=window.executor) as client,
    ):
        client.add_sender("panel", requests={"where": lambda params: threading.current_thread().name})
        thread = elsewhere(lambda: answers.append(server.request("panel", "where")), window.executor)
        wait(window, lambda: answers)
        thread.join()
    assert answers == [threading.main_thread().name]


# -- the end -------------------------------------------------------------------------------------


def test_nothing_is_delivered_after_the_window_is_destroyed(window: Window, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    def destroys(info: sig.Info, data: object) -> None:
        heard.append(data)
        if data == 3:
            window.destroy()

    with sig.Router() as router:
        subscriptions = [router.listen(destroys, "s", "e", executor=window.executor) for _ in range(2)]
        signal = router.add_sender("s", "e").signal("e")
        for number in range(10):
            signal.trigger(number)
        with pytest.MonkeyPatch.context() as patch:
            # Any time is time enough: all of this in one turn.
            patch.setattr(sig.gui, "TURN_S", 100)
            while 3 not in heard:
                window.step()
        assert heard == [0, 1, 2, 3]
        signal.trigger(10)
        assert all(subscription.closed for subscription in subscriptions)
    assert heard == [0, 1, 2, 3]
    assert caplog.text.count("is closed: what runs it has ended: the window has been destroyed") == 2


def test_what_waits_is_cancelled_and_what_comes_is_refused(window: Window) -> None:
    ran: list[object] = []
    waiting = [window.executor.submit(ran.append, number) for number in range(3)]
    window.destroy()
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(0)
    with pytest.raises(RuntimeError, match="the window has been destroyed"):
        window.executor.submit(ran.append, 3)
    assert ran == []


def test_an_executor_ends_with_the_part_that_it_was_made_for(window: Window) -> None:
    part = window.part()
    ran: list[str] = []
    part.submit(ran.append, "part")
    wait(window, lambda: ran)
    window.drop_part()
    with pytest.raises(RuntimeError, match="destroyed"):
        part.submit(ran.append, "part")
    window.executor.submit(ran.append, "window")
    wait(window, lambda: ran == ["part", "window"])


def test_it_can_be_ended_before_the_window_from_any_thread(window: Window) -> None:
    waiting = window.executor.submit(lambda: None)
    elsewhere(window.executor.shutdown).join()
    assert waiting.cancelled()
    window.executor.shutdown()
    assert window.timers() == 0
    with pytest.raises(RuntimeError, match="destroyed"):
        window.executor.submit(print)


def test_ended_from_another_thread_it_puts_its_things_away_on_the_window_s(window: Window) -> None:
    elsewhere(window.executor.shutdown).join()
    window.step()  # the descriptors are counted after the test, and the window lives on
    wait(window, lambda: window.timers() == 0)


def test_a_router_that_is_closed_on_the_window_s_thread_does_not_wait_for_it(window: Window) -> None:
    heard: list[object] = []
    router = sig.Router()
    router.listen(lambda info, data: heard.append(data), "s", "e", executor=window.executor)
    router.add_sender("s", "e").trigger("e", 1)
    router.close(timeout=10_000)
    assert heard == []


def test_a_router_that_is_closed_elsewhere_does(window: Window) -> None:
    heard: list[object] = []
    router = sig.Router()
    router.listen(lambda info, data: heard.append(data), "s", "e", executor=window.executor)
    router.add_sender("s", "e").trigger("e", 1)
    closed: list[object] = []

    def close() -> None:
        router.close(timeout=LIMIT_S)
        closed.append(list(heard))

    thread = elsewhere(close, window.executor)
    wait(window, lambda: closed)
    thread.join()
    assert closed == [[1]]


# -- futures -------------------------------------------------------------------------------------


def test_what_is_submitted_has_a_future(window: Window) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of the user's")

    cancelled, done, failed = (window.executor.submit(call) for call in (fail, lambda: 5, fail))
    named = window.executor.submit(int, "ff", base=16)
    assert cancelled.cancel()
    wait(window, named.done)
    assert wait_for([done, failed, named], 0).not_done == set()
    assert (done.result(), named.result()) == (5, 255)
    assert isinstance(failed.exception(), ZeroDivisionError)


@pytest.mark.parametrize(
    ("error", "code"), [(SystemExit(3), 3), (SystemExit(), 0), (SystemExit("why"), 1), (KeyboardInterrupt(), 1)]
)
def test_what_ends_the_program_ends_its_loop(window: Window, error: BaseException, code: int) -> None:
    def end() -> None:
        raise error

    later: list[object] = []
    future = window.executor.submit(end)
    window.executor.submit(later.append, 1)
    how: Any = window.run()
    assert how is error if isinstance(how, BaseException) else how == code
    assert future.exception() is error
    wait(window, lambda: later)


# -- mistakes ------------------------------------------------------------------------------------


def program(text: str) -> list[str]:
    """What a program of its own prints: this process has its toolkits, and its one application of Qt."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


TELL = """
import sys, threading
import sig, sig.gui

def tell(call):
    try:
        print(call())
    except sig.InvalidArgument as error:
        print(error)
"""


def test_a_toolkit_that_is_missing_is_named_with_what_to_install() -> None:
    assert program(
        TELL + "for name in ('tkinter', 'PySide6', 'PyQt6'): sys.modules[name] = None\n"
        "tell(lambda: sig.gui.tk(None))\ntell(sig.gui.qt)"
    ) == [
        "sig.gui.tk() needs tkinter, which this Python was built without: apt install python3-tk, or the like",
        "sig.gui.qt() needs PySide6 or PyQt6: pip install PySide6-Essentials",
    ]


def test_no_toolkit_is_imported_before_it_is_asked_for() -> None:
    assert program(TELL + "print([name for name in sys.modules if 'tkinter' in name or 'Qt' in name])") == ["[]"]


def test_mistakes_with_tk(screen: None) -> None:
    pytest.importorskip("tkinter")
    with pytest.raises(sig.InvalidArgument, match=r"sig.gui.tk\(\) takes a window or widget of tkinter, not .*object"):
        sig.gui.tk(object())  # type: ignore[arg-type]  # on purpose
    window = KINDS["tk"]()
    roots = [window.root]  # type: ignore[attr-defined]  # of Tk's
    errors: list[BaseException] = []

    def wrong() -> None:
        try:
            sig.gui.tk(roots[0])
        except sig.InvalidArgument as error:
            errors.append(error)

    elsewhere(wrong).join()
    assert "is for the thread that made the window, call it there" in str(errors.pop())
    window.destroy()
    with pytest.raises(sig.InvalidArgument, match="needs a window that has not been destroyed"):
        sig.gui.tk(roots.pop())
    del window
    gc.collect()  # it holds a link to the screen, which its circles would keep for a while


def test_mistakes_with_qt() -> None:
    pytest.importorskip("PySide6.QtCore")
    lines = program(
        TELL
        + """
from PySide6.QtCore import QCoreApplication
tell(sig.gui.qt)
application = QCoreApplication([])
tell(lambda: sig.gui.qt(5))
thread = threading.Thread(target=tell, args=(sig.gui.qt,))
thread.start()
thread.join()
"""
    )
    assert lines == [
        "sig.gui.qt() needs an application: make a QApplication before",
        "sig.gui.qt() takes a QObject of PySide6.QtCore, not int",
        "sig.gui.qt() is for the thread of the QApplication: call it there",
    ]


def test_with_qt_the_application_is_the_window_by_default() -> None:
    """The router may outlive it: what is triggered while the program ends harms nobody."""
    pytest.importorskip("PySide6.QtCore")
    lines = program(
        """
import sig, sig.gui
from PySide6.QtCore import QCoreApplication
application = QCoreApplication([])
gui = sig.gui.qt()
router = sig.Router()

def show(info, data):
    print(data)
    if data == 2:
        application.quit()

router.listen(show, "s", "e", executor=gui)
sender = router.add_sender("s", "e")
for number in range(3):
    sender.trigger("e", number)
application.exec()
sender.trigger("e", 3)
application.shutdown()
sender.trigger("e", 4)
"""
    )
    assert lines == ["0", "1", "2"]


def test_with_pyqt_it_is_the_same() -> None:
    """In a process of its own: two bindings do not live in one."""
    if find_spec("PyQt6") is None:
        pytest.skip("PyQt6 is not here: pip install PyQt6")
    lines = program(
        """
import threading
import sig, sig.gui
from PyQt6 import QtWidgets, sip
application = QtWidgets.QApplication([])
window = QtWidgets.QWidget()
gui = sig.gui.qt(window)
heard = []
router = sig.Router()

def show(info, data):
    heard.append(data)
    if data == 999:
        application.quit()

subscription = router.listen(show, "s", "e", executor=gui)
sender = router.add_sender("s", "e")
thread = threading.Thread(target=lambda: [sender.trigger("e", number) for number in range(1000)])
thread.start()
application.exec()
thread.join()
sip.delete(window)
sender.trigger("e", 1000)
print(heard == list(range(1000)), subscription.closed)
"""
    )
    assert lines == ["True True"]
