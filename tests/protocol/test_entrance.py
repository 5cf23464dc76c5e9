"""Who is let in, and who has to go for others."""

from __future__ import annotations

from sig.constants import Limits
from sig.protocol.entrance import Entrance


def entrance(**limits: float) -> Entrance[str]:
    return Entrance(Limits.of(**limits))


def test_whoever_comes_alone_is_let_in() -> None:
    door = entrance()
    assert door.refusal(0, 5.0) is None
    assert door.enter("a", "tcp://10.0.0.1:4711") is None
    assert list(door.pending) == ["a"]
    door.leave("a")
    door.leave("a")
    assert door.pending == {}


def test_no_more_than_there_may_be() -> None:
    door = entrance(max_connections=2)
    assert door.refusal(1, 0.0) is None
    assert door.refusal(2, 0.0) == "this server has its 2 connections (max_connections): come back later"
    assert "max_connections" in (door.refusal(2, 0.0, paced=False) or "")


def test_so_many_in_a_second_and_in_an_instant() -> None:
    door = entrance(max_accepts_per_s=4)
    assert [door.refusal(0, 100.0) is None for _ in range(6)] == [True] * 4 + [False] * 2
    assert door.refusal(0, 100.0) == "this server lets in 4 clients a second (max_accepts_per_s): come back later"
    assert door.refusal(0, 100.0, paced=False) is None
    assert [door.refusal(0, 100.5) is None for _ in range(3)] == [True, True, False]
    # What was refused has not been counted; nor do pauses add up.
    assert [door.refusal(0, 9000.0) is None for _ in range(5)] == [True] * 4 + [False]


def test_beyond_the_limit_the_oldest_goes() -> None:
    door = entrance(max_pending_handshakes=2)
    assert door.enter("a", "unix pid 7") is None
    assert door.enter("b", "local") is None
    assert door.enter("c", "tcp://127.0.0.1:1") == ("a", "2 handshakes are under way (max_pending_handshakes)")


def test_the_oldest_of_where_most_come_from() -> None:
    door = entrance(max_pending_handshakes=4)
    door.enter("old", "unix pid 7")
    door.enter("honest", "tcp://10.0.0.1:1")
    door.enter("first", "tcp://10.0.0.2:1")
    door.enter("second", "tcp://10.0.0.2:2")
    found = door.enter("other", "tls://10.0.0.3:1")
    assert found is not None
    assert found[0] == "first"
    door.leave("first")
    for number in range(2):
        door.enter(f"local{number}", "unix pid 7")
    found = door.enter("another", "tls://10.0.0.3:2")
    assert found is not None
    assert found[0] == "old"


def test_one_machine_is_not_in_the_way_of_others() -> None:
    door = entrance(max_pending_per_source=2)
    for number in range(2):
        assert door.enter(f"a{number}", f"ws://10.0.0.1:{number}") is None
        assert door.enter(f"b{number}", f"wss://[2001:db8::{number}]:1") is None
    assert door.enter("a2", "ws://10.0.0.1:2") == (
        "a0",
        "2 handshakes with 10.0.0.1 are under way (max_pending_per_source)",
    )
    door.leave("a0")
    assert door.enter("b2", "wss://[2001:db8::beef]:2") == (
        "b0",
        "2 handshakes with 2001:db8::/64 are under way (max_pending_per_source)",
    )
    for name in ("a1", "a2"):
        door.leave(name)
    assert door.enter("a3", "ws://10.0.0.1:3") is None
