"""Who somebody is."""

from __future__ import annotations

from sig.security.identity import ANONYMOUS, INSIDE, Identity


def test_one_is_the_same_by_name_and_proof_however_long_it_lasts() -> None:
    alice = Identity("alice", source="token")
    assert alice.same_as(Identity("alice", ("operators",), 12.0, "token"))
    assert not alice.same_as(Identity("alice", source="password"))
    assert not alice.same_as(Identity("bob", source="token"))
    assert not alice.same_as("alice")


def test_who_is_not_known_is_not_the_server() -> None:
    assert not ANONYMOUS.same_as(INSIDE)
    assert ANONYMOUS.name == "anonymous"
