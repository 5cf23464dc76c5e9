"""Executors of windows: listeners run on the thread of the user interface, and a flood of events does not freeze it.

    router.listen(show, "plant/**", executor=sig.gui.tk(root))

From whatever thread events come, the window is woken once for all that waits. It then works for a few milliseconds, and
sees to the user before it goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from .callables import describe
from .errors import InvalidArgument

if TYPE_CHECKING:
    import tkinter

P = ParamSpec("P")
T = TypeVar("T")

# How long a window is kept from its user: half of what a picture lasts at 60 a second.
TURN_S: Final = 0.008

# How long it is left to the user before it goes on. Not 0: toolkits paint when nothing else is due.
PAUSE_MS: Final = 1

_QT: Final = ("PySide6", "PyQt6")


class GuiExecutor(Executor):
    """Runs functions on the thread of a window, in order, from whatever thread they are submitted.

    Made by `qt` and `tk`. It ends when the window is destroyed: what waits is cancelled, and `submit` raises
    `RuntimeError`. Listeners that it runs close then.
    """

    def __init__(self) -> None:
        # Guards all below; an RLock, because the garbage collector may call a `__del__` while it is held, and that may
        # submit. Never held while a function of others runs.
        self._lock = threading.RLock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._coming = False  # a turn is on its way
        self._ended = False
        self._until = 0.0  # when the turn under way is over; of the window's thread alone, as is the next
        self._pause_until = 0.0
        self._thread = threading.get_ident()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` on the window's thread, behind all that was submitted before; returns at once. Any thread.

        Raises `RuntimeError` when the window has been destroyed.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._ended:
                raise RuntimeError("the window has been destroyed")
            self._waiting.append((future, partial(fn, *args, **kwargs)))
            if not self._coming:
                self._coming = True
                self._wake()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Run nothing more: what waits is cancelled. It never waits, whatever the arguments say. Any thread."""
        with self._lock:
            already, self._ended = self._ended, True
            waiting = list(self._waiting)
            self._waiting.clear()
            if self.here():
                self._dismantle()
            elif not already:
                self._wake()  # what is the window's is put away there
        for future, _ in waiting:
            future.cancel()

    def here(self) -> bool:
        """Whether this is the window's thread."""
        return threading.get_ident() == self._thread

    def has_time(self) -> bool:
        """Whether the turn may go on, or the window has to see to its user. Asked by listeners between two events."""
        return not self._ended and monotonic() < self._until

    # On the window's thread

    def _turn(self) -> None:
        """Run what waits, for a while."""
        now = monotonic()
        with self._lock:
            if self._ended:
                self._dismantle()
            elif now < self._pause_until:  # woken from outside meanwhile
                self._again()
                return
            self._coming = False
        self._until = now + TURN_S
        while (taken := self._take()) is not None:
            self._run(*taken)
            if not self.has_time():
                self._pause_until = monotonic() + PAUSE_MS / 1000
                break
        with self._lock:
            if self._waiting:
                self._again()  # the pause begins now

    def _take(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self._waiting:
                return None
            taken = self._waiting.popleft()
            if self._waiting and not self._coming:
                # Before the function runs: it may open a dialog that has a loop of its own, and stay there.
                self._coming = True
                self._again()
            return taken

    def _run(self, future: Future[Any], function: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):
                self._leave(error)
        else:
            future.set_result(result)

    # What a toolkit has to say. The lock is held, but for `_leave`.

    def _wake(self) -> None:
        """Have `_turn` called on the window's thread. Any thread."""
        raise NotImplementedError

    def _again(self) -> None:
        """Have `_turn` called after a pause, and not earlier, whatever was said before."""
        raise NotImplementedError

    def _dismantle(self) -> None:
        """Leave nothing behind. May be called more than once."""
        raise NotImplementedError

    def _leave(self, error: BaseException) -> None:
        """A function wants the program to end."""
        raise error


class _Tk(GuiExecutor):
    """A byte in a pipe wakes Tk. To call Tk from another thread would be to wait for it, which may wait for us."""

    def __init__(self, root: tkinter.Misc) -> None:
        super().__init__()
        self._root: Any = root
        self._timer: str | None = None
        self._ends: tuple[int, int] | None = os.pipe()
        reader, self._writer = self._ends
        os.set_blocking(reader, False)
        tkinter = import_module("tkinter")
        try:
            self._root.tk.createfilehandler(reader, tkinter.READABLE, self._woken)
        except RuntimeError as error:
            self._close_ends()
            raise InvalidArgument(
                f"sig.gui.tk() is for the thread that made the window, call it there: {error}"
            ) from None
        try:
            root.bind("<Destroy>", self._destroyed, add="+")
        except tkinter.TclError as error:
            self._dismantle()
            raise InvalidArgument(f"sig.gui.tk() needs a window that has not been destroyed: {error}") from None

    def _woken(self, reader: int, mask: int) -> None:
        os.read(reader, 16)
        self._paint_first()

    def _destroyed(self, event: tkinter.Event[Any]) -> None:
        if event.widget is self._root:  # a window is told of everything in it
            self.shutdown()

    def _wake(self) -> None:
        os.write(self._writer, b"!")

    def _again(self) -> None:
        if self._timer is not None:
            self._root.after_cancel(self._timer)
        self._timer = self._root.after(PAUSE_MS, self._due)

    def _due(self) -> None:
        self._timer = None
        self._paint_first()

    def _paint_first(self) -> None:
        # Tk paints when nothing else is due, which may be never: next to a thread that computes, each step of its loop
        # waits for the interpreter for longer than the pause.
        self._root.update_idletasks()
        self._turn()

    def _dismantle(self) -> None:
        root, self._root = self._root, None  # Tk aborts the process if another thread drops the last reference to it
        if root is None:
            return
        if self._timer is not None:
            root.after_cancel(self._timer)
        assert self._ends is not None  # closed here alone
        root.tk.deletefilehandler(self._ends[0])
        self._close_ends()

    def _close_ends(self) -> None:
        ends, self._ends = self._ends, None
        for end in ends or ():
            os.close(end)


class _Qt(GuiExecutor):
    """A timer wakes Qt: to start one is a slot, and slots can be called from any thread without waiting."""

    def __init__(self, core: Any, parent: Any) -> None:
        super().__init__()
        self._core = core
        # Not a child of the parent: it has to outlive it until `shutdown` has been told.
        self._timer: Any = core.QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(lambda: self._due())
        # The end of the application takes everything with it, in any order.
        for thing in (parent, self._timer):
            thing.destroyed.connect(lambda: self.shutdown())

    def _due(self) -> None:
        self._timer.setInterval(0)  # whoever comes next is not made to wait
        self._turn()

    def _wake(self) -> None:
        self._core.QMetaObject.invokeMethod(self._timer, "start", self._core.Qt.ConnectionType.QueuedConnection)

    def _again(self) -> None:
        self._timer.start(PAUSE_MS)

    def _dismantle(self) -> None:
        timer, self._timer = self._timer, None
        if timer is None:
            return
        try:
            timer.stop()
            timer.deleteLater()  # not where the last reference happens to be dropped: that may be another thread
        except RuntimeError:
            pass  # it has gone first

    def _leave(self, error: BaseException) -> None:
        # Raised into Qt it would be printed, or abort the process.
        code = error.code if isinstance(error, SystemExit) else 1
        self._core.QCoreApplication.exit(code if isinstance(code, int) else int(code is not None))


def tk(root: tkinter.Misc) -> GuiExecutor:
    """An executor for `listen(..., executor=)` that runs listeners on the thread of a Tk window.

    It ends when `root`, a window or any widget, is destroyed. To be called on the thread that made it.

    Raises:
        InvalidArgument: there is no tkinter, this is no widget, or another thread's.
    """
    try:
        tkinter = import_module("tkinter")
    except ImportError:
        raise InvalidArgument(
            "sig.gui.tk() needs tkinter, which this Python was built without: apt install python3-tk, or the like"
        ) from None
    if not isinstance(root, tkinter.Misc):
        raise InvalidArgument(f"sig.gui.tk() takes a window or widget of tkinter, not {describe(root)}")
    return _Tk(root)


def qt(parent: Any = None) -> GuiExecutor:
    """An executor for `listen(..., executor=)` that runs listeners on the thread of a Qt application.

    It ends when `parent`, a window or any QObject, is destroyed; the application itself by default. PySide6 or PyQt6 is
    taken, whichever has been imported. To be called on the thread of the application, which has to be there.

    Raises:
        InvalidArgument: there is no Qt, no application, or this is another thread.
    """
    core = _qt_core(parent)
    application = core.QCoreApplication.instance()
    if application is None:
        raise InvalidArgument("sig.gui.qt() needs an application: make a QApplication before")
    if core.QThread.currentThread() != application.thread():
        raise InvalidArgument("sig.gui.qt() is for the thread of the QApplication: call it there")
    owner = application if parent is None else parent
    if not isinstance(owner, core.QObject):
        raise InvalidArgument(f"sig.gui.qt() takes a QObject of {core.__name__}, not {describe(owner)}")
    return _Qt(core, owner)


def _qt_core(parent: object) -> Any:
    """QtCore of the binding that `parent` is of, that has been imported, or that is installed."""
    bases = [cls.__module__.partition(".")[0] for cls in type(parent).__mro__]
    imported = [name for name in _QT if f"{name}.QtCore" in sys.modules]
    for name in [*(name for name in _QT if name in bases), *imported, *_QT]:
        try:
            return import_module(f"{name}.QtCore")
        except ImportError:
            continue
    raise InvalidArgument("sig.gui.qt() needs PySide6 or PyQt6: pip install PySide6-Essentials")
