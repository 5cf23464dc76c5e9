"""A window of Qt that shows the states of a plant as they come: `gui_qt.py [URL]`."""

import sys

from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

import sig
import sig.gui

application = QApplication(sys.argv[:1])
window = QWidget(windowTitle="plant")
layout = QVBoxLayout(window)
rows = {}
gui = sig.gui.qt(window)


def shown():
    return {sender: row.text() for sender, row in rows.items()}


with sig.connect(*sys.argv[1:]) as client:

    @client.on("plant/**", "state", executor=gui)
    def show(info, data):  # on the window's thread: it may do with the window what it likes
        if info.sender not in rows:
            rows[info.sender] = QLabel()
            layout.addWidget(rows[info.sender])
        rows[info.sender].setText(f"{info.sender} {data}")

    # Requests are answered on threads of their own. They send to the window what is the window's.
    client.add_sender(
        "display",
        requests={
            "shown": lambda params: gui.submit(shown).result(),
            "close": lambda params: gui.submit(window.close) and None,
        },
    )
    window.show()
    application.exec()
