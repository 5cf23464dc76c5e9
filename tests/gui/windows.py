"""A window of each toolkit, with the same few verbs: what a test does to one it does to all."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any, Protocol

import pytest

import sig.gui

LIMIT_S = 20


class Window(Protocol):
    """Lives on the test's thread."""

    executor: sig.gui.GuiExecutor

    def step(self) -> None:
        """Let the toolkit do one thing; waits for it."""

    def timers(self) -> int:
        """How many of ours are under way."""

    def every(self, milliseconds: int, act: Callable[[], object]) -> None:
        """What the user's own program does beside."""

    def when_painted(self, act: Callable[[], object]) -> None:
        """Change what is shown; `act` is called once that has been painted."""

    def dialog(self, until: Callable[[], bool]) -> None:
        """A loop of its own."""

    def part(self) -> sig.gui.GuiExecutor:
        """An executor that ends with a part of the window; see `drop_part`."""

    def drop_part(self) -> None: ...

    def run(self) -> object:
        """The program's loop, until somebody ends it; returns, or raises, how that was."""

    def destroy(self) -> None: ...


def wait(window: Window, until: Callable[[], object]) -> None:
    """Run the window until something is so. What changes it has to happen on the window's thread."""
    deadline = time.monotonic() + LIMIT_S
    while not until():
        assert time.monotonic() < deadline, "it never came to that"
        window.step()


def display() -> subprocess.Popen[str] | None:
    """A screen that nobody sees, for this process; `None` where it cannot be had."""
    if shutil.which("Xvfb") is None:
        return None
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    os.environ["DISPLAY"] = f":{server.stdout.readline().strip()}"
    return server


class TkWindow:
    def __init__(self) -> None:
        tkinter = pytest.importorskip("tkinter", reason="this Python has no tkinter")
        try:
            self.root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            pytest.skip(f"Tk has no screen: {error}; apt install xvfb")
        self._label: Any = tkinter.Label(self.root, text="0")
        self._label.pack()
        self._number = 0
        self.executor = sig.gui.tk(self.root)
        self._own: set[str] = set()
        # So that a step never waits without end.
        self._beat()

    def _beat(self) -> None:
        self._own = {self.root.after(50, self._beat)}

    def step(self) -> None:
        self.root.tk.dooneevent(0)

    def timers(self) -> int:
        return len(set(self.root.tk.call("after", "info")) - self._own)

    def every(self, milliseconds: int, act: Callable[[], object]) -> None:
        def again() -> None:
            act()
            self.root.after(milliseconds, again)

        self.root.after(milliseconds, again)

    def when_painted(self, act: Callable[[], object]) -> None:
        self._number += 1
        self._label["text"] = str(self._number)  # Tk paints when idle, after what was said earlier
        self.root.after_idle(act)

    def dialog(self, until: Callable[[], bool]) -> None:
        wait(self, until)

    def part(self) -> sig.gui.GuiExecutor:
        return sig.gui.tk(self._label)

    def drop_part(self) -> None:
        self._label.destroy()

    def run(self) -> object:
        try:
            self.root.mainloop()
        except BaseException as error:
            return error
        return None

    def destroy(self) -> None:
        if self.root is not None:
            self.root.destroy()
            self.root = self._label = None
        gc.collect()  # here: if another thread happens to collect what is left of it, Tk aborts the process


class QtWindow:
    def __init__(self) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        widgets = pytest.importorskip(
            "PySide6.QtWidgets", reason="Qt is not here: pip install PySide6-Essentials", exc_type=ImportError
        )
        self._core: Any = pytest.importorskip("PySide6.QtCore")
        self._application = widgets.QApplication.instance() or widgets.QApplication([])
        painted: list[Callable[[], object]] = []

        class Label(widgets.QLabel):  # type: ignore[misc]  # no stubs here
            def paintEvent(self, event: Any) -> None:
                super().paintEvent(event)
                while painted:
                    painted.pop()()

        self._painted = painted
        self._root: Any = widgets.QWidget()
        self._label = Label("0", self._root)
        self._root.show()
        self.executor = sig.gui.qt(self._root)
        self._own: list[Any] = []
        self.every(50, lambda: None)
        self._number = 0

    def step(self) -> None:
        flags = self._core.QEventLoop.ProcessEventsFlag
        self._application.processEvents(flags.AllEvents | flags.WaitForMoreEvents)
        # What `deleteLater` said is done by a loop; this is none.
        self._application.sendPostedEvents(None, self._core.QEvent.Type.DeferredDelete.value)

    def timers(self) -> int:
        timer: Any = self.executor._timer  # type: ignore[attr-defined]  # of Qt's
        return int(timer is not None and timer.isActive())

    def every(self, milliseconds: int, act: Callable[[], object]) -> None:
        timer = self._core.QTimer()
        timer.timeout.connect(act)
        timer.start(milliseconds)
        self._own.append(timer)

    def when_painted(self, act: Callable[[], object]) -> None:
        self._number += 1
        self._painted.append(act)
        self._label.setText(str(self._number))

    def dialog(self, until: Callable[[], bool]) -> None:
        wait(self, until)

    def part(self) -> sig.gui.GuiExecutor:
        return sig.gui.qt(self._label)

    def drop_part(self) -> None:
        self._label.deleteLater()
        self.step()

    def run(self) -> object:
        return self._application.exec()

    def destroy(self) -> None:
        if self._root is not None:
            root, self._root = self._root, None
            pytest.importorskip("shiboken6").delete(root)  # at once
        for timer in self._own:
            timer.stop()


KINDS: dict[str, Callable[[], Window]] = {"tk": TkWindow, "qt": QtWindow}
