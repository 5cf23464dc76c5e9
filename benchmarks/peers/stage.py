"""One run of one contestant: its processes, and what they have used."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.peers.children import Child, Trouble

# `seq` of the events by which publisher and subscribers find out that they are connected: the first is repeated until
# it has reached everybody, the second follows it, so that none of the first can come later.
HELLO, DONE = 1, 2
BETWEEN_HELLOS_S = 0.02


class Stage:
    """Where one contestant performs once. A context manager: at its end no process is left.

    Args:
        contestant: its name.
        limit: seconds that any one step may take.
        scale: how much of the usual amount of work is done.
        package: where the contestants are.
    """

    def __init__(
        self, contestant: str, limit: float, scale: float = 1.0, package: str = "benchmarks.peers.contestants"
    ) -> None:
        self.contestant = contestant
        self._module = f"{package}.{contestant}"
        self.limit = limit
        self._scale = scale
        self._children: list[Child] = []
        self._folder = tempfile.TemporaryDirectory(prefix="sig-bench-", ignore_cleanup_errors=True)
        self.address: dict[str, Any] = {}
        self.server: Child
        self.server_pids: list[int] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Clients first, all at once: no server complains of a link that broke.
        for child in self._children[1:]:
            child.leave()
        for child in reversed(self._children):
            child.stop()
        self._folder.cleanup()

    def scaled(self, count: int, least: int = 1) -> int:
        """So much work, to scale."""
        return max(least, round(count * self._scale))

    def begin(self, role: str, **arguments: Any) -> Child:
        """Start a child and go on; its answer is its `hello`."""
        log = Path(self._folder.name) / f"{len(self._children)}-{role}.log"
        child = Child(self._module, role, arguments, self.limit, log)
        self._children.append(child)
        return child

    def start(self, role: str, **arguments: Any) -> Child:
        """Start a child that is connected to the server."""
        child = self.begin(role, address=self.address, **arguments)
        child.answer()
        return child

    def serve(self, **arguments: Any) -> None:
        """Start the server."""
        self.server = self.begin("Server", folder=self._folder.name, **arguments)
        hello = self.server.answer()
        self.address = hello["address"]
        self.server_pids = hello["pids"] or [self.server.pid]

    def connect(
        self, routes: Sequence[str], subscribers: int = 1, *, timing: bool = False, large: bool = False
    ) -> tuple[Child, list[Child]]:
        """Start a publisher and its subscribers, and return when events reach all of them."""
        common = {"address": self.address, "routes": routes, "large": large}
        listening = [self.begin("Subscriber", **common, timing=timing) for _ in range(subscribers)]
        publisher = self.begin("Publisher", **common)
        for child in [*listening, publisher]:
            child.answer()
        for seq in (HELLO, DONE):
            for child in listening:
                child.ask("expect_meeting", seq=seq)
                child.begin("receive_meeting", limit=self.limit)
            waiting = listening
            publisher.ask("meet", seq=seq)
            while waiting := [child for child in waiting if not child.answered(BETWEEN_HELLOS_S)]:
                if seq == HELLO:
                    publisher.ask("meet", seq=seq)
                else:
                    waiting[0].answered(self.limit)
            for child in listening:
                child.answer()
        return publisher, listening

    def deliver(
        self, publisher: Child, subscribers: Sequence[Child], verb: str, count: int, **arguments: Any
    ) -> tuple[float, list[dict[str, float]]]:
        """Let the publisher do something with `count` events, all of which every subscriber must get.

        Returns the seconds until the last subscriber had the last one, and what each of them tells.
        """
        for child in subscribers:
            child.ask("expect", count=count)
        for child in subscribers:
            # Before the rest of us: a subscriber says how many are missing, we could only say that it is late.
            child.begin("receive", limit=0.9 * self.limit)
        started = publisher.ask(verb, count=count, **arguments)["started"]
        told = [child.answer() for child in subscribers]
        return max(one["ended"] for one in told) - started, told

    def processor_s(self, pids: Sequence[int]) -> float:
        """Processor time used so far, in user mode and for the system."""
        import psutil  # here, so that the command line can say what is missing

        with self._alive():
            times = [psutil.Process(pid).cpu_times() for pid in pids]
        return float(sum(time.user + time.system for time in times))

    def memory_bytes(self, pids: Sequence[int]) -> int:
        """Resident memory."""
        import psutil

        with self._alive():
            return sum(psutil.Process(pid).memory_info().rss for pid in pids)

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        import psutil

        try:
            yield
        except psutil.NoSuchProcess as gone:
            raise Trouble(f"a process of {self.contestant} has ended: {gone}") from None
