"""Guessing takes time, and remembering it takes little memory."""

from __future__ import annotations

from sig.security.attempts import FORGOTTEN_S, FREE, NAME_S, PLACE_S, REMEMBERED, Attempts


def fail(attempts: Attempts, times: int, place: str = "here", name: str = "alice", now: float = 0.0) -> None:
    for _ in range(times):
        attempts.failed(place, name, now)


def test_the_first_mistakes_cost_nothing_and_then_each_costs_twice_as_much() -> None:
    attempts = Attempts()
    waits = []
    for _ in range(12):
        waits.append(attempts.wait("here", "", 0.0))
        attempts.failed("here", "alice", 0.0)
    assert waits[: FREE + 1] == [0.0] * (FREE + 1)
    assert waits[FREE + 1 :] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, PLACE_S, PLACE_S]


def test_a_wait_ends() -> None:
    attempts = Attempts()
    fail(attempts, FREE + 3)
    assert [attempts.wait("here", "", now) for now in (1.0, 3.5, 4.0, 9.0)] == [3.0, 0.5, 0.0, 0.0]


def test_a_name_waits_at_every_place_but_not_for_long() -> None:
    attempts = Attempts()
    fail(attempts, 50)
    assert attempts.wait("elsewhere", "alice", 0.0) == NAME_S
    assert attempts.wait("elsewhere", "bob", 0.0) == 0.0
    attempts.succeeded("elsewhere", "alice")
    assert attempts.wait("elsewhere", "alice", 0.0) == 0.0
    assert attempts.wait("here", "alice", 0.0) == PLACE_S


def test_who_was_let_in_need_not_wait_there_for_others_who_guess() -> None:
    attempts = Attempts()
    attempts.succeeded("home", "alice")
    fail(attempts, 50)
    assert [attempts.wait(place, "alice", 0.0) for place in ("home", "elsewhere")] == [0.0, NAME_S]
    # Whoever guesses from there waits as everybody does who guesses.
    fail(attempts, 50, "home")
    assert attempts.wait("home", "alice", 0.0) == PLACE_S
    attempts.succeeded("moved", "alice")
    fail(attempts, 50)
    assert [attempts.wait(place, "alice", 0.0) for place in ("elsewhere", "moved")] == [NAME_S, 0.0]


def test_what_is_long_ago_is_forgotten() -> None:
    attempts = Attempts()
    fail(attempts, 50)
    attempts.failed("here", "alice", FORGOTTEN_S)
    assert attempts.wait("here", "alice", FORGOTTEN_S) == 0.0


def test_memory_is_bounded_whoever_tries() -> None:
    attempts = Attempts()
    for number in range(REMEMBERED + 100):
        attempts.failed(f"place {number}", f"name {number}", float(number))
        attempts.succeeded(f"place {number}", f"another {number}")
    assert len(attempts) == len(attempts._home) == REMEMBERED


def test_the_log_gets_one_line_a_minute() -> None:
    attempts = Attempts()
    assert attempts.summary(0.0) is None
    fail(attempts, 1)
    assert attempts.summary(0.0) == "1 login refused, the last from here"
    fail(attempts, 70, "there")
    assert attempts.summary(59.0) is None
    assert attempts.summary(60.0) == "70 logins refused, the last from there"
    assert attempts.summary(200.0) is None
