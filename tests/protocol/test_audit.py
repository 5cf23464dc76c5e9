"""Whoever watches a server is told what happens at its door; nobody else is, and nobody's link is filled with it."""

from __future__ import annotations

from typing import Any

import pytest
from protocol.pairs import Answer, End, World
from protocol.who import credential, make_access, token

from sig.errors import Denied
from sig.messages import Kick, Listen, Presence
from sig.protocol.audit import Audit
from sig.protocol.login import TokenProver
from sig.security.policy import Policy, allow

POLICY = Policy([allow("root", "admin"), allow("root", "listen", events="#audit"), allow("*", "listen")])


def heard(end: End) -> list[dict[str, Any]]:
    return [news.data for news in end.news if isinstance(news, Presence) and news.event == "#audit"]


def watched(**limits: float) -> tuple[World, End, End]:
    access, _ = make_access(credential(1, "root"), credential(2, "alice"), policy=POLICY)
    world = World(access=access, **limits)
    access.audit = Audit(world.server, 7)
    root, alice = world.client(prover=TokenProver(token(1))), world.client(prover=TokenProver(token(2)))
    root.listen(1, None, "#audit")
    return world, root, alice


def test_logins_denials_and_what_is_done_to_clients_are_told() -> None:
    world, root, alice = watched()
    world.client(prover=TokenProver(token(2)))
    world.client(prover=TokenProver(token(3)))
    with pytest.raises(Denied):
        alice.add("s", "e")
    world.server.govern(POLICY, world.server.access.credentials, world.now)
    root.ask(Kick(client=alice.connection.number, reason="enough"))
    told = heard(root)
    assert [each["what"] for each in told] == ["connected", "refused", "denied", "reloaded", "kicked"]
    assert told[2] == {
        "what": "denied",
        "identity": "alice",
        "action": "own",
        "sender": "s",
        "name": "",
        "reason": "no rule allows it",
    }


def test_it_is_heard_by_name_and_by_right_only() -> None:
    world, root, alice = watched()
    root.listen(2)
    with pytest.raises(Denied, match="you may not listen to event '#audit'"):
        alice.listen(1, None, "#audit")
    alice.listen(2)
    before = len(heard(root))
    world.client(prover=TokenProver(token(3)))
    assert len(heard(root)) == before + 1
    assert heard(alice) == []
    # Without a policy nobody has been granted it, but for the server's own router.
    world.server.govern(None, world.server.access.credentials, world.now)
    alice.listen(3, None, "#audit")
    inside = world.client(settle=False)
    inside.connection.trusted = True
    world.settle()
    inside.listen(1, "server", "#audit")
    before = len(heard(root))
    world.client(prover=TokenProver(token(3)))
    assert (len(heard(root)), len(heard(alice)), len(heard(inside))) == (before, 0, 1)


def test_of_a_group_one_is_told_who_may_and_keeps_up() -> None:
    may = Policy([allow("*", "listen", events="#audit")])
    access, _ = make_access(credential(1, "root"), credential(2, "alice"), policy=may)
    world = World(access=access, link_control_bytes=4000)
    access.audit = Audit(world.server, 7)
    alice, root = world.client(prover=TokenProver(token(2))), world.client(prover=TokenProver(token(1)))
    for end, more in ((alice, {"group": "g"}), (root, {"group": "g"}), (root, {"max_wait_s": 1.0})):
        answer = Answer()
        listen = Listen(len(root.connection.subscriptions) + 1, None, "#audit", **more)  # type: ignore[arg-type]
        end.core.listen(listen, "listener", world.now, 30, answer)
        world.settle()
        assert answer.times == 1
    world.server.access.note("refused")
    world.settle()
    assert [len(heard(end)) for end in (alice, root)] == [1, 1]
    assert [news.listener for news in root.news if isinstance(news, Presence)] == [2]
    # Rights count, and so does who reads.
    rules = [allow("root", "listen", events="#audit"), allow("alice", "listen")]
    world.server.govern(Policy(rules), world.server.access.credentials, world.now)
    world.settle()
    assert [len(heard(end)) for end in (alice, root)] == [1, 3]
    for _ in range(100):
        world.server.access.note("refused", address="somewhere", login="x" * 50, reason="no")
    world.settle()
    assert 3 < len(heard(root)) < 100


def test_who_does_not_keep_up_misses_some_and_keeps_the_link() -> None:
    world, root, alice = watched(link_control_bytes=4000)
    for _ in range(100):
        world.server.access.note("refused", address="somewhere", login="x" * 50, reason="no")
    assert not root.connection.closed
    world.settle()
    assert 1 < len(heard(root)) < 100
    assert alice.flush() is None
