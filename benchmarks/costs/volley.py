"""What a request costs in the cores of its three ends: requester -> server -> owner, and back. No I/O, no threads.

Sixty-four are asked, and then each end takes in what the one before it sends: so many come in one read where they are
under way together. The owner answers with what it was asked; nothing is encoded, nothing decoded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise

from benchmarks.costs.rows import Effort, Measure, WrongCount
from benchmarks.costs.world import CHUNK, World
from benchmarks.peers.payload import encode, sample
from benchmarks.timing import undisturbed
from sig.codecs import as_codecs
from sig.messages import AddSender
from sig.protocol.answering import RequestArrived
from sig.protocol.client import ClientCore
from sig.security.policy import Policy

FLIGHT = 64
SENDER, METHOD = "bench", "echo"
STEPS = ("requester asks", "server passes it on", "owner is asked", "owner answers", "server passes that on", "is told")


def ways() -> Iterator[tuple[str, AbstractContextManager[Measure]]]:
    """What is measured, by name."""
    yield "all of it", volleys(range(len(STEPS)))
    for number, step in enumerate(STEPS):
        yield step, volleys((number,))


@contextmanager
def volleys(steps: range | tuple[int, ...], policy: Policy | None = None) -> Iterator[Measure]:
    """Seconds for a request in these of the steps."""
    ends = Ends(policy)
    ends.volley()

    def measure(effort: Effort) -> list[float]:
        best = float("inf")
        with undisturbed():
            for _ in range(effort.batches * max(1, round(effort.batch_s / 0.0005))):
                spent = ends.volley()
                best = min(best, sum(spent[step] for step in steps))
        return [best / FLIGHT]

    yield measure


class Ends:
    """A requester, a server and the owner of a sender, who know each other."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._world = World(policy)
        self._payload = encode(sample())
        self._answers: list[object] = []
        self._requester, self._owner = (ClientCore(self._world.limits, as_codecs("json")) for _ in range(2))
        self._links = [(core, self._world.accept()) for core in (self._requester, self._owner)]
        self._settle()
        self._owner.call(AddSender(SENDER, [], [METHOD]), time.monotonic(), 30, self._answered)
        self._settle()
        self._ask(1)  # which first asks for the route
        self._settle()
        self._reply()
        self._settle()
        self._answers.clear()

    def volley(self) -> list[float]:
        """Ask, and be answered; returns the seconds that each step took."""
        clock = time.perf_counter
        (_, at_requester), (_, at_owner) = self._links
        stamps = [clock()]
        self._ask(FLIGHT)
        asked = self._requester.data_to_send(CHUNK)
        stamps.append(clock())
        self._world.receive(at_requester, asked)
        passed_on = at_owner.data_to_send(CHUNK)
        stamps.append(clock())
        self._owner.receive_at(passed_on, time.monotonic())
        stamps.append(clock())
        self._reply()
        answers = self._owner.data_to_send(CHUNK)
        stamps.append(clock())
        self._world.receive(at_owner, answers)
        told = at_requester.data_to_send(CHUNK)
        stamps.append(clock())
        self._requester.receive_at(told, time.monotonic())
        stamps.append(clock())
        if self._answers != [self._payload] * FLIGHT:
            raise WrongCount(f"of {FLIGHT} requests {self._answers.count(self._payload)} were answered")
        self._answers.clear()
        self._world.drain()
        return [after - before for before, after in pairwise(stamps)]

    def _answered(self, value: object, error: BaseException | None) -> None:
        self._answers.append(value if error is None else error)

    def _ask(self, count: int) -> None:
        request, payload, answered = self._requester.asking.request, self._payload, self._answered
        for _ in range(count):
            now = time.monotonic()
            request(SENDER, METHOD, payload, now=now, deadline=now + 30, hops=1, done=answered)

    def _reply(self) -> None:
        for item in self._owner.answering.take_asked():
            if isinstance(item, RequestArrived):
                self._owner.answering.reply(item, item.request.payload, None)

    def _settle(self) -> None:
        """Carry bytes until nobody has any to send."""
        moved = True
        while moved:
            moved = False
            for core, connection in self._links:
                if said := core.data_to_send(CHUNK):
                    self._world.receive(connection, said)
                if told := connection.data_to_send(CHUNK):
                    core.receive_at(told, time.monotonic())
                moved = moved or bool(said or told)
