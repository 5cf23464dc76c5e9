"""One seed: a server, some clients, their limits, their weather, and what must hold at the end."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from sim.ledger import Ledger
from sim.leftovers import sizes
from sim.network import Door, Network, Weather
from sim.program import Program
from sim.streaming import Streams
from sim.world import Loop, Violation, World, check

import sig.aio
from sig.log import logger

# When nothing is done to them any more, all must have found together again within this time.
HEALED_S = 120.0
# And this is what everything triggered afterwards may take.
HEARD_S = 120.0


class Scene:
    """Args:
    seed: of all that chance decides.
    length_s: how long there is weather.
    only: the one kind of fault that there is, often; by default some of all, as chance has it.
    """

    def __init__(self, seed: int, length_s: float, *, only: str | None = None) -> None:
        self.seed = seed
        self.length_s = length_s
        self.chance = chance = random.Random(f"{seed}: scene")
        self.world = World(seed)
        latency = chance.choice([0.0005, 0.01, 0.2])
        self.network = Network(
            self.world,
            Weather(
                latency_s=(latency / 10, latency),
                capacity=chance.choice([2048, 16 * 1024, 256 * 1024]),
                segment=chance.choice([300, 1000, 16 * 1024]),
                bytes_per_s=chance.choice([math.inf, math.inf, 20_000]),
            ),
        )
        self.ledger = Ledger(self.world)
        self.streams = Streams(self.ledger)
        self.tally: Counter[str] = Counter()
        self.limits: dict[str, Any] = limits_of(chance, length_s)
        # Between what one hand of a program does and the next, in the mean; and between one fault and the next.
        self.pause_s = length_s / chance.choice([8, 15, 30])
        self.senders = chance.choice([1, 2])
        self.events = chance.choice([1, 2])
        self.grouped = chance.choice([0.0, 0.3])
        self.streamed = chance.choice([0.0, 0.3])  # how many requests are for answers in parts
        self.shared = chance.choice([0.0, 0.3])  # how many hold, or ask, the name that several share
        self.retained = chance.choice([0.0, 0.5])  # how many senders retain
        self.slow = chance.choice([0.0, 0.3])
        self.reliable = chance.choice([0.0, 0.0, 0.5, 1.0])  # how many clients lose nothing with their links
        self.early = random.Random(f"{seed}: early").random() < 0.3  # some clients do not wait for their first link
        # Between one event and the next of several, in the mean; else all leave together. So some are under way when an
        # end is told something.
        self.beat_s = latency / 3 if random.Random(f"{seed}: drop").random() < 0.5 else 0.0
        self.names = [f"c{number}" for number in range(chance.randint(2, 4))]
        self.programs: dict[str, Program] = {}
        self.quiet = False
        self._fault_s = length_s / chance.choice([3, 10, 30])
        # Each kind by itself now and then: together they excuse too much.
        kinds = {
            self._cut: 8,
            self._part: 4,
            self._stop: 4,
            self._crash: 2,
            self._crash_server: 1,
            self._change: 2,
        }
        self._faults = {kind: often for kind, often in kinds.items() if chance.random() < 0.5} or {self._cut: 1}
        if only is not None:
            self._faults, self._fault_s = {getattr(self, f"_{only}"): 1}, length_s / 10
        self.blocking = 0.5  # how many of those who are slow have senders wait
        # Not for what a link may not keep that is theirs already: it has left the queue that senders wait for.
        self.patient = self.limits["link_drop_bytes"] > 1024
        self._silent = chance.choice([0.0, 0.5])  # how many of the cuts an end may not notice
        self._lives: Counter[str] = Counter()
        self._requests = 0
        self._begun: dict[int, None] = {}
        self._sizes: dict[str, int] = {}  # of the server's tables, before anybody came
        self._server: tuple[Loop, Any] | None = None
        self._blocked: list[tuple[Loop, Loop]] = []

    # What programs ask

    def next_request(self) -> int:
        self._requests += 1
        return self._requests

    def begun(self, number: int) -> None:
        if number in self._begun:
            self.ledger.fail(f"request {number} was carried out twice")
        self._begun[number] = None

    def has_begun(self, number: int) -> bool:
        return number in self._begun

    # Its course

    def play(self) -> str:
        """All of it; returns what tells this history from others. Raises `Violation`."""
        before, logger.sink = logger.sink, _Sink(self.world)
        try:
            with self.world.installed():
                try:
                    self._play()
                finally:
                    self.world.end()
        finally:
            logger.sink = before
        self._raise()
        return self.world.trace.hexdigest()

    def _play(self) -> None:
        world = self.world
        self._start_server()
        for name in self.names:
            self._start(name)
        self._plan_fault()
        world.run(self.length_s)
        self.quiet = True
        world.run(world.now + HEALED_S, self._together)
        self._check_together()
        for program in self.programs.values():
            for life, sender in program.lives.items():
                for event in life.counts:
                    with world.running(program.loop):
                        self.ledger.trigger(life, event, sender.trigger)
        world.run(world.now + HEARD_S)
        for ear in self.ledger.ears:
            ear.settle()
        # Who has crashed is waited for as long as a link may be silent, and then its session kept.
        waited_for = self.limits["heartbeat_timeout_s"] + self.limits["session_s"] + self.limits["presence_grace_s"]
        world.run(world.now + waited_for, self.streams.over)
        self.streams.settle()
        self._raise()
        self._leave()

    def _raise(self) -> None:
        if self.world.failure is not None:
            raise self.world.failure

    def _start_server(self) -> None:
        self._lives["server"] += 1
        loop = Loop(self.world, f"server.{self._lives['server']}", self.chance.randrange(1000))
        with self.world.running(loop):
            router = sig.aio.ServerRouter(Door(self.network, "hub"), **self.limits)
            loop.create_task(self._serve(router))
        self._server = loop, router
        if self.ledger.server_lost == math.inf:
            self.ledger.server_lost = self.world.now

    async def _serve(self, router: sig.aio.ServerRouter) -> None:
        await router.start()
        assert router._server is not None  # it has started
        self._sizes = sizes(router._server.core)

    def _start(self, name: str) -> None:
        self._lives[name] += 1
        program = self.programs[name] = Program(self, name, self._lives[name])
        program.start()

    # Weather

    def _plan_fault(self) -> None:
        self.world.after(self.chance.expovariate(1 / self._fault_s), self._fault)

    def _fault(self) -> None:
        if self.quiet:
            return
        (fault,) = self.chance.choices(list(self._faults), list(self._faults.values()))
        self.tally[f"fault:{fault.__name__}"] += 1
        self.world.note(fault.__name__)
        self._check_limits()
        fault()
        self._plan_fault()

    def _any(self) -> Program:
        return self.chance.choice(list(self.programs.values()))

    def _cut(self) -> None:
        """One stream dies."""
        streams = [stream for stream in self.network.streams if not stream.dead]
        if streams:
            stream = self.chance.choice(streams)
            for program in self.programs.values():
                if program.loop is stream.ends[0].loop:
                    program.place.faults.append(self.world.now)
            late = [0.0, 0.1, 5.0, math.inf] if self.chance.random() < self._silent else [0.0, 0.1]
            stream.cut((self.chance.choice(late), self.chance.choice(late)))

    def _part(self) -> None:
        """One cannot reach the other for a while, or neither can."""
        if self._server is None:
            return
        program, server = self._any(), self._server[0]
        ways = [(program.loop, server), (server, program.loop)]
        chosen = self.chance.choice([ways[:1], ways[1:], ways])
        program.place.faults.append(self.world.now)
        for way in chosen:
            self.network.part(*way)
        self.world.after(self.chance.choice([0.1, 3.0, 15.0, 60.0]), self._heal, chosen)

    def _heal(self, ways: list[tuple[Loop, Loop]]) -> None:
        for way in ways:
            self.network.heal(*way)

    def _stop(self) -> None:
        """A process stands still for a while."""
        loops = [program.loop for program in self.programs.values()]
        if self._server is not None:
            loops.append(self._server[0])
        loop = self.chance.choice(loops)
        loop.stop(self.chance.choice([0.05, 0.5, 4.0, 30.0]))
        for program in self.programs.values():
            if loop in (program.loop, self._server and self._server[0]):
                program.place.faults.append(self.world.now)

    def _crash(self) -> None:
        program = self._any()
        program.crash(silent=self.chance.random() < 0.5)
        del self.programs[program.name]
        if not self.programs:
            self._start(program.name)
        else:
            self.world.after(self.chance.choice([0.1, 2.0, 20.0]), self._start_again, program.name)

    def _start_again(self, name: str) -> None:
        if name not in self.programs:
            self._start(name)

    def _crash_server(self) -> None:
        if self._server is None:
            return
        loop, _ = self._server
        self._server = None
        self.network.crash(loop, silent=self.chance.random() < 0.3)
        loop.kill()
        self.ledger.server_lost = math.inf
        self.ledger.servers_lost.append(self.world.now)
        for program in self.programs.values():
            program.place.faults.append(self.world.now)
        self.world.after(self.chance.choice([0.1, 2.0, 20.0]), self._restart_server)

    def _restart_server(self) -> None:
        self._start_server()

    def _change(self) -> None:
        """The weather changes."""
        latency = self.chance.choice([0.0005, 0.01, 0.2])
        self.network.weather = Weather(
            latency_s=(latency / 10, latency),
            capacity=self.network.weather.capacity,
            segment=self.chance.choice([300, 1000, 16 * 1024]),
            bytes_per_s=self.chance.choice([math.inf, math.inf, 20_000]),
        )

    # What must hold at the end

    def _together(self) -> bool:
        return (
            self._server is not None
            and not self.network._walls
            and len(self.programs) == len(self.names)
            and all(p.loop.until <= self.world.now and p.together for p in self.programs.values())
        )

    def _check_limits(self) -> None:
        """Nobody keeps more than it may; what is larger than all that is kept alone."""
        if self._server is not None and self._server[1]._server is not None:
            core = self._server[1]._server.core
            check(core.budget.used <= core.limits.memory_bytes, f"the server keeps {core.budget.used} bytes")
            for connection in core.connections.values():
                waiting = connection.outbox.event_bytes
                alone = sum(entry.events > 0 for entry in connection.outbox._entries) <= 1
                check(waiting <= core.limits.link_drop_bytes or alone, f"{waiting} bytes of events wait for a link")
        for program in self.programs.values():
            driver = program.router._driver if program.opened else None
            if driver is not None and driver.core.offline is not None:
                kept = driver.core.offline._bytes
                check(kept <= self.limits["offline_bytes"], f"{kept} bytes are kept for the next link")

    def _check_together(self) -> None:
        for program in self.programs.values():
            check(program.together, f"{program.name} is {program.told}, {HEALED_S:g} s after all was well again")

    def _run(self, loop: Loop, work: Coroutine[Any, Any, None], limit_s: float, what: str) -> None:
        with self.world.running(loop):
            task: asyncio.Task[None] = loop.create_task(work)
        self.world.run(self.world.now + limit_s, task.done)
        check(task.done(), f"{what} takes more than {limit_s:g} s")
        task.result()

    def _leave(self) -> None:
        """Everybody leaves; nothing may be left."""
        for program in list(self.programs.values()):
            self._run(program.loop, program.finish(), 30, f"the end of {program.name}")
        # Of those that crashed, something is kept for a while.
        self.world.run(self.world.now + self.limits["presence_grace_s"] + self.limits["session_s"] + 30)
        assert self._server is not None
        loop, router = self._server
        before, now = self._sizes, sizes(router._server.core)
        grown = {name: now[name] - size for name, size in before.items() if now[name] > size}
        check(not grown, f"something is left at the server when all have gone: {grown}")
        check(not self.network.streams, f"{len(self.network.streams)} streams are open when all have gone")
        self._run(loop, router.close(), 30, "the end of the server")


def counted(scene: Scene) -> Counter[str]:
    """What happened in one of them."""
    ledger, tally = scene.ledger, scene.tally
    return Counter(
        {
            "events triggered": ledger.triggered,
            "events heard": ledger.heard,
            "gaps told": ledger.gaps,
            "gaps of unknown size": ledger.unknown,
            "retained values": ledger.retained,
            "requests": sum(count for name, count in tally.items() if name.startswith("request")),
            "streams": sum(count for name, count in tally.items() if name.startswith("stream")),
            "faults": sum(count for name, count in tally.items() if name.startswith("fault")),
            "steps": scene.world.steps,
        }
    )


class _Sink:
    """What is logged as an error is a violation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def debug(self, text: str) -> None:
        pass

    def info(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        pass

    def error(self, text: str) -> None:
        self._world.fail(Violation(f"logged: {text}"))

    critical = error

    def exception(self, text: str) -> None:
        import sys

        violation = Violation(f"logged: {text}")
        violation.__cause__ = sys.exception()
        self._world.fail(violation)


def limits_of(chance: random.Random, length_s: float) -> dict[str, Any]:
    """Limits as small as they may be, or as they are, each by itself."""
    # Where much time passes, hardly anything else would happen than heartbeats.
    heartbeat = chance.choice([(1, 2.5), (10, 25)] if length_s < 300 else [(10, 25), (25, 60)])
    return {
        "heartbeat_s": heartbeat[0],
        "heartbeat_timeout_s": heartbeat[1],
        "presence_grace_s": chance.choice([0.2, 5, 30]),
        "send_window_bytes": chance.choice([200, 1024 * 1024]),
        "link_drop_bytes": chance.choice([300, 16 * 1024 * 1024]),
        "offline_bytes": chance.choice([200, 4 * 1024 * 1024]),
        "offline_s": chance.choice([0.5, 30]),
        "group_prefetch": chance.choice([1, 16]),
        "session_s": chance.choice([3, 120]),
        "resend_bytes": chance.choice([2_000, 4 * 1024 * 1024]),
        "reconnect_first_s": chance.choice([0.05, 0.5, 3]),
        "reconnect_longest_s": chance.choice([3, 10]),
    }
