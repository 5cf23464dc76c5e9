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
    with sig.connect(url, name="demo files") as router:
        router.on_disconnected = stop.set
        sender = router.add_sender("machine/files", "changed", {"list": lambda params: sorted(_names(folder))})
        try:
            for changes in watch(
                folder, stop_event=stop, debounce=100, step=20, rust_timeout=500, yield_on_timeout=True
            ):
                for change, path in sorted(changes):
                    relative = str(Path(path).relative_to(Path(folder).resolve()))
                    sender.trigger("changed", {"at": time.time(), "change": change.name, "path": relative})
        except sig.ConnectionLost:
            return


def _names(folder: str) -> list[str]:
    return [entry.name for entry in Path(folder).iterdir()]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
