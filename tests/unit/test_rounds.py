"""What is told of a sender is told in order, once, by whoever comes first."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import pytest

from sig.rounds import Rounds


class World:
    def __init__(self) -> None:
        self.lock = RLock()
        self.rounds = Rounds(self.lock)
        self.told: list[str] = []

    def tell(self, *words: str) -> list[Callable[[], object]]:
        return [lambda word=word: self.told.append(word) for word in words]  # type: ignore[misc]

    def add(self, sender: str, *tells: Callable[[], object]) -> None:
        with self.lock:
            self.rounds.add(sender, tells)


def test_each_sender_has_an_order_of_its_own() -> None:
    world = World()
    world.add("a", *world.tell("1", "2"))
    world.add("b", *world.tell("of b"))
    world.add("a", *world.tell("3"))
    assert len(world.rounds) == 2
    world.rounds.run("a")
    assert world.told == ["1", "2", "3"]
    world.rounds.run("b")
    world.rounds.run("nobody")
    assert world.told == ["1", "2", "3", "of b"]
    assert not world.rounds


def test_what_comes_while_it_is_told_waits_behind_it() -> None:
    world = World()

    def meanwhile() -> None:
        waiting = world.rounds.of("s")
        assert waiting is not None
        assert len(waiting) == 1  # one that has been there before
        waiting.extend(world.tell("late"))
        world.rounds.run("s")  # is told by the other
        assert world.told == []

    assert world.rounds.of("s") is None
    world.add("s", meanwhile, *world.tell("next"))
    world.rounds.run("s")
    assert world.told == ["next", "late"]
    assert world.rounds.of("s") is None


def test_after_an_interrupt_the_rest_is_told_by_whoever_comes_next() -> None:
    world = World()

    def interrupted() -> None:
        raise KeyboardInterrupt

    world.add("s", interrupted, *world.tell("rest"))
    with pytest.raises(KeyboardInterrupt):
        world.rounds.run("s")
    assert world.told == []
    world.rounds.run("s")
    assert (world.told, len(world.rounds)) == (["rest"], 0)
