"""Answers in parts, between the processes of a world: they come in order and without a hole, or it is told that they do
not, and whoever gives them learns that nobody takes them any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sim.ledger import Ledger

from sig.errors import ConnectionLost, Overloaded, RequestTimeout, SenderNotConnected

if TYPE_CHECKING:
    from sim.program import Program

# What a stream may come to beside its end, in a world where links and processes die.
ENDS = (ConnectionLost, Overloaded, RequestTimeout, SenderNotConnected)
# So many parts nobody takes.
ENDLESS = 1_000_000
# How much longer than its time the wait for a part may take.
LATE_S = 1.0


class Streams:
    """All of one world: which are being given."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._given: dict[int, Program] = {}

    async def give(self, program: Program, number: int, count: int) -> AsyncIterator[list[int]]:
        """What a sender of that program does."""
        chance, scene = program.chance, program.scene
        scene.begun(number)
        self._given[number] = program
        try:
            for part in range(count):
                if chance.random() < 0.3:
                    await program.sleep(chance.expovariate(2))
                yield [number, part]
        finally:
            del self._given[number]

    async def take(self, program: Program, name: str, number: int) -> str:
        """Ask for parts, and take them; some leave before the end. Returns what came of it."""
        chance = program.chance
        count, idle = chance.choice([0, 1, 10, 40, ENDLESS]), chance.choice([0.5, 5.0, 30.0])
        enough = 1 + chance.randrange(20) if count == ENDLESS or chance.random() < 0.2 else ENDLESS
        taken = 0
        awake = program.awake_s
        try:
            async with program.router.stream(name, "parts", [number, count], idle=idle) as parts:
                async for part in parts:
                    if part != [number, taken]:
                        self._ledger.fail(f"stream {number} gives {part} where part {taken} was due")
                    taken += 1
                    if taken == enough:
                        return "stream: left"
                    awake = program.awake_s
        except ENDS as error:
            waited = program.awake_s - awake
            if waited > idle + LATE_S:
                self._ledger.fail(f"stream {number} was silent for {waited:.1f} s, and had {idle:g} s")
            return f"stream: {type(error).__name__}"
        if taken != count:
            self._ledger.fail(f"stream {number} has ended after {taken} of its {count} parts")
        return "stream: all"

    def over(self) -> bool:
        """Whether nobody gives anything who lives."""
        return all(program.loop.dead for program in self._given.values())

    def settle(self) -> None:
        """Nobody takes anything: nobody gives."""
        for number, program in self._given.items():
            if not program.loop.dead:
                self._ledger.fail(f"{program.name} still gives stream {number}, which nobody takes")
