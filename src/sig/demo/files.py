"""A sender of the changes in a folder: `python -m sig.demo.files URL FOLDER`. Ends when its server does."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from pathlib import Path

from watchfiles import watch

import sig
from sig.demo.sender import send

NAME = "machine/files"


class Folder:
    """What is sent of one folder."""

    def __init__(self, path: str) -> None:
        # As the watcher names what is in it.
        self._path = Path(path).resolve()

    def list(self, params: object) -> list[str]:
        """The names in it."""
        return sorted(entry.name for entry in self._path.iterdir())

    def work(self, router: sig.ClientRouter, ended: threading.Event) -> None:
        """Trigger `changed` for each change."""
        sender = router.add_sender(NAME, "changed", [self.list])
        numbers = itertools.count(1)
        # With a short `rust_timeout` the end is noticed although nothing changes.
        for changes in watch(
            self._path, stop_event=ended, debounce=100, step=20, rust_timeout=500, raise_interrupt=False
        ):
            for change, path in sorted(changes):
                relative = str(Path(path).relative_to(self._path))
                sender.trigger(
                    "changed", {"at": time.time(), "number": next(numbers), "change": change.name, "path": relative}
                )


def main(url: str, folder: str) -> int:
    return send(url, Folder(folder).work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
