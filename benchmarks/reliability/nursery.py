"""Processes of our own that begin at once: where the system can, they are forked from one that has `sig` in memory.

An interpreter that starts and imports takes longer than most of those live that are killed here.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, Self

# That of Windows starts interpreters; it cannot do otherwise.
_KIND = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_CONTEXT: Any = multiprocessing.get_context(_KIND)
if _KIND == "forkserver":
    _CONTEXT.set_forkserver_preload(["sig", "sig.carriers.tcp", "benchmarks.reliability.nursery"])

Tell = Callable[[object], None]


class Raised:
    """`work(tell, *words)` in a process of its own, which tells what it knows; killed at the end of `with`.

    What it has told is here even if it is killed in the next moment; what it was about to tell is not.
    """

    def __init__(self, work: Callable[..., None], *words: object) -> None:
        self._told, tell = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_run, args=(work, tell, *words), daemon=True)
        self._process.start()
        tell.close()  # the process has its own: when that is killed, what is told ends

    def next(self) -> Any:
        """What it tells next; it is up to its own time limits to tell something. Raises `EOFError`: it has ended."""
        try:
            return self._told.recv()
        except OSError as error:  # it was killed in the middle of a word
            raise EOFError("it was killed") from error

    def kill(self) -> list[Any]:
        """Kill it with SIGKILL, wait until it has gone, and have the rest of what it told. May be called again."""
        rest: list[Any] = []
        if not self._told.closed:
            self._process.kill()
            try:
                while True:
                    rest.append(self.next())
            except EOFError:
                self._told.close()
            self._process.join()
        return rest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


def _run(work: Callable[..., None], tell: Any, *words: object) -> None:
    work(tell.send, *words)
