"""What the processes of a world do: each client holds senders, listens, triggers and asks, several things at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sim.ledger import Ear, Life, Place
from sim.network import Way
from sim.world import Loop

import sig.aio
from sig.errors import (
    ConnectFailed,
    ConnectionLost,
    Overloaded,
    RequestTimeout,
    SenderAlreadyConnected,
    SenderNotConnected,
)
from sig.subscription import Subscription

if TYPE_CHECKING:
    from sim.scene import Scene

# What a request may come to beside its answer, in a world where links and processes die.
ENDS = (ConnectionLost, Overloaded, RequestTimeout, SenderNotConnected)
# A name that several may have at a time. Who has it answers.
SHARED = "shared"
# So soon whoever waits for something to do notices that there is no more.
MOMENT_S = 20.0
# So long senders wait for those who have them wait. What 8 events take these is a small part of it.
WAIT_S = 20.0
# How much longer than its time a request may take.
LATE_S = 1.0


class Program:
    """A client, from its first line to its last."""

    def __init__(self, scene: Scene, name: str, life: int) -> None:
        self.scene = scene
        self.name = name
        self.chance = random.Random(f"{scene.seed}: {name} {life}")
        self.tempo = random.Random(f"{scene.seed}: {name} {life}: tempo")
        self.loop = Loop(scene.world, f"{name}.{life}", self.chance.randrange(1000))
        self.reliable = self.chance.random() < scene.reliable
        limits = scene.limits
        self.place = Place(name, limits["presence_grace_s"], limits["session_s"] if self.reliable else 0.0)
        self.router: sig.aio.ClientRouter
        self.lives: dict[Life, Any] = {}
        self.ears: dict[Ear, Subscription] = {}
        self.hands = 0
        self.opened = False
        self.done = False

    def start(self) -> None:
        with self.scene.world.running(self.loop):
            self.loop.create_task(self._main())

    async def _main(self) -> None:
        scene = self.scene
        self.router = sig.aio.ClientRouter(Way(scene.network, "hub"), reliable=self.reliable, **scene.limits)
        self.router.on_state = self._state
        if self.scene.early and self.chance.random() < 0.5:
            # As one whose link is lost, from the beginning.
            self.place.lost(scene.world.now)
            await self.router.open(wait=False)
            self.opened = True
        while not self.opened:
            try:
                await self.router.open()
                self.opened = True
            except (ConnectFailed, ConnectionLost):
                await asyncio.sleep(self.chance.uniform(0.1, 2))
        hands = [self._hold, self._listen, self._trigger, self._ask]
        self.hands = len(hands)
        async with asyncio.TaskGroup() as group:
            for hand in hands:
                group.create_task(self._work(hand))

    def _state(self, state: str) -> None:
        now = self.scene.world.now
        self.scene.world.note(self.loop.name, state)
        if state == "away":
            self.place.lost(now)
        elif state == "connected":
            self.place.back(now, self.scene.ledger.servers_lost)

    async def _work(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self.scene.quiet:
            # There are more events than anything else.
            pause_s = self.scene.pause_s / (4 if act == self._trigger else 1)
            await self.sleep(self.chance.expovariate(1 / pause_s))
            if not self.scene.quiet:
                await act()
        self.hands -= 1

    @property
    def awake_s(self) -> float:
        """A clock that does not go on while the process stands still."""
        return self.loop.time() - self.loop.stood_s

    async def sleep(self, seconds: float) -> None:
        """So long, or until there is nothing more to do."""
        rest = seconds
        while rest > 0 and not self.scene.quiet:
            await asyncio.sleep(min(MOMENT_S, rest))
            rest -= MOMENT_S

    # What it does

    async def _hold(self) -> None:
        """Take a name, or give one up."""
        chance, ledger = self.chance, self.scene.ledger
        if self.lives and chance.random() < (0.1 if len(self.lives) == 1 else 0.5):
            life = chance.choice(list(self.lives))
            sender = self.lives.pop(life)
            ledger.leave(life)
            await sender.remove()
            return
        shared = chance.random() < self.scene.shared
        name = SHARED if shared else f"{self.name}/{chance.randrange(self.scene.senders)}"
        if any(life.name == name for life in self.lives):
            return
        events = [] if shared else ["e", "f"][: self.scene.events]
        life = ledger.live(self.place, name, events, retains=not shared and chance.random() < self.scene.retained)
        requests = {"double": self._double, "parts": self._parts}
        try:
            sender = await self.router.add_sender(name, events, requests, retain=life.retains, shared=shared)
            self.lives[life], life.there = sender, lambda: sender.connected
        except (SenderAlreadyConnected, ConnectionLost, Overloaded) as error:
            self._refused("add_sender", error, life.begun)
            ledger.leave(life)

    def _refused(self, verb: str, error: Exception, begun: float) -> None:
        self.scene.tally[f"{verb}: {type(error).__name__}"] += 1
        if isinstance(error, ConnectionLost) and not self.place.troubled_since(begun):
            self.scene.ledger.fail(f"{self.name} is told {error!r} by {verb}, and its link was not lost")

    async def _listen(self) -> None:
        chance, scene = self.chance, self.scene
        if self.ears and chance.random() < (0.2 if len(self.ears) < 4 else 0.7):
            self._close(chance.choice(list(self.ears)))
            return
        names = [f"{place}/{number}" for place in scene.names for number in range(scene.senders)]
        sender = chance.choice([*names, *names, None, "*/0", "**", SHARED])
        event = chance.choice(["e", "e", "f", "*", None, None, "#connect", "#disconnect"])
        group = chance.choice(["g1", "g2"]) if chance.random() < scene.grouped else None
        slow = chance.random() < scene.slow
        blocks = slow and group is None and chance.random() < scene.blocking
        initial = chance.random() < 0.3
        waited = blocks and scene.patient
        ear = Ear(scene.ledger, self.place, sender, event, initial=initial, group=group, blocks=waited)
        options: dict[str, Any] = {"when_full": "block", "max_wait": WAIT_S, "queue": 8} if blocks else {}
        try:
            subscription = await self.router.listen(
                self._slow(ear) if slow else ear.hear,
                sender,
                event,
                on_gap=ear.gap,
                initial=ear.initial,
                group=group,
                **options,
            )
        except (ConnectionLost, Overloaded) as error:
            self._refused("listen", error, ear.asked)
            ear.close()
            return
        ear.listening()
        scene.ledger.ears.append(ear)
        self.ears[ear] = subscription

    def _slow(self, ear: Ear) -> Callable[[Any, Any], Awaitable[None]]:
        async def hear(info: Any, data: Any) -> None:
            ear.hear(info, data)
            await asyncio.sleep(self.chance.uniform(0, 0.05))

        return hear

    def _close(self, ear: Ear) -> None:
        self.ears.pop(ear).close()
        ear.close()
        self.scene.ledger.ears.remove(ear)

    async def _trigger(self) -> None:
        chance = self.chance
        if not self.lives:
            return
        life = chance.choice(list(self.lives))
        if not life.counts:
            return
        for turn in range(chance.choice([1, 1, 2, 8])):
            if turn and self.scene.beat_s:
                await asyncio.sleep(self.tempo.expovariate(1 / self.scene.beat_s))
            if life not in self.lives:
                return
            try:
                self.scene.ledger.trigger(life, chance.choice(list(life.counts)), self.lives[life].trigger)
            except (ConnectionLost, Overloaded, SenderNotConnected) as error:
                self.scene.tally[f"trigger: {type(error).__name__}"] += 1
        if chance.random() < 0.1:
            counts = dict(life.counts)
            try:
                await self.router.flush()
            except (ConnectionLost, Overloaded):
                return
            self.scene.ledger.flushed(life, counts)

    async def _double(self, params: int) -> int:
        self.scene.begun(params)
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.expovariate(1))
        return 2 * params

    def _parts(self, params: list[int]) -> AsyncIterator[list[int]]:
        return self.scene.streams.give(self, *params)

    async def _ask(self) -> None:
        scene, chance, loop = self.scene, self.chance, self.loop
        name = f"{chance.choice(scene.names)}/{chance.randrange(scene.senders)}"
        if chance.random() < scene.shared:
            name = SHARED
        number, timeout = scene.next_request(), chance.choice([0.5, 5.0, 30.0])
        if chance.random() < scene.streamed:
            scene.tally[await scene.streams.take(self, name, number)] += 1
            return
        begun = self.awake_s
        asked = loop.create_task(self._request(name, number, timeout))
        if chance.random() < 0.2:
            await asyncio.sleep(chance.uniform(0, 1))
            asked.cancel()
        scene.tally[await asked] += 1
        took = self.awake_s - begun
        if took > timeout + LATE_S:
            scene.ledger.fail(f"request {number} of {self.name} took {took:.1f} s, and had {timeout:g} s")

    async def _request(self, name: str, number: int, timeout: float) -> str:
        asked, holders = self.scene.world.now, self.scene.ledger.holders(name)
        try:
            answer = await self.router.request(name, "double", number, timeout=timeout)
        except asyncio.CancelledError:
            return "request: given up"
        except ENDS as error:
            if isinstance(error, SenderNotConnected):
                self.scene.ledger.refused(self.place, name, asked, holders)
            return f"request: {type(error).__name__}"
        if answer != 2 * number or not self.scene.has_begun(number):
            self.scene.ledger.fail(f"request {number} was answered {answer!r}")
        return "request: answered"

    @property
    def together(self) -> bool:
        """Whether it does nothing, and has all it should have."""
        return self.told == "together"

    @property
    def told(self) -> str:
        router = getattr(self, "router", None)
        if router is None or router._driver is None or not router._driver.core.opened:
            return "not connected yet"
        if self.hands:
            return f"busy with {self.hands} things"
        if router.state != "connected" or router._away:
            return router.state
        gone = [life.name for life, sender in self.lives.items() if not sender.connected]
        return f"without {gone}" if gone else "together"

    # Its end

    async def finish(self) -> None:
        """Leave as a program should."""
        for life in list(self.lives):
            self.scene.ledger.leave(life)
        await self.router.close()
        for ear in self.ears:
            ear.close()
            self.scene.ledger.ears.remove(ear)
        self.done = True

    def crash(self, *, silent: bool) -> None:
        for life in self.lives:
            self.scene.ledger.leave(life)
        for ear in self.ears:
            ear.close()
            self.scene.ledger.ears.remove(ear)
        self.scene.network.crash(self.loop, silent=silent)
        self.loop.kill()
