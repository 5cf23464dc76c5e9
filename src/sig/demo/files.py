"""A sender of the changes in a folder: `python -m sig.demo.files URL FOLDER`. Ends when its server does."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

from watchfiles import watch

import sig


def main(url: str, folder: str) -> None:
    """Trigger `changed` for each change until the server has gone."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    try:
        with sig.connect(url, name="demo files") as router:
            router.on_disconnected = stop.set
            sender = router.add_sender("machine/files", "changed", {"list": lambda params: sorted(_names(folder))})
            # With a short `rust_timeout` a server that has gone is noticed although nothing changes.
            for changes in watch(
                folder, stop_event=stop, debounce=100, step=20, rust_timeout=500, raise_interrupt=False
            ):
                for change, path in sorted(changes):
                    relative = str(Path(path).relative_to(Path(folder).resolve()))
                    sender.trigger("changed", {"at": time.time(), "change": change.name, "path": relative})
    except sig.ConnectionLost:
        pass  # the server has gone, and nobody is left to tell


def _names(folder: str) -> list[str]:
    return [entry.name for entry in Path(folder).iterdir()]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
