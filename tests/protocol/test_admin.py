"""Who may look after a server sees who is there, and sends away; nobody else does."""

from __future__ import annotations

import pytest
from protocol.pairs import End, World
from protocol.who import credential, make_access, token

from sig.errors import Denied
from sig.messages import Clients, Kick
from sig.protocol.login import TokenProver
from sig.security.policy import Policy, allow

POLICY = Policy([allow("root", "admin"), allow("*", ["own", "listen"])])


def people() -> tuple[World, End, End, End]:
    access, noted = make_access(
        credential(1, "root"), credential(2, "alice", ("staff",), 1_900_000_000.0), anonymous=True, policy=POLICY
    )
    world = World(access=access)
    root, alice, nobody = (world.client(prover=p) for p in (TokenProver(token(1)), TokenProver(token(2)), None))
    alice.add("s", "e")
    alice.listen(1)
    inside = world.client(settle=False)
    inside.connection.trusted = True
    world.settle()
    access.audit = noted
    return world, root, alice, nobody


def test_clients_are_listed_with_who_they_are_but_not_the_server_itself() -> None:
    world, root, alice, _ = people()
    world.raw()
    world.accept()  # in the middle of its handshake
    rows = root.ask(Clients())
    assert isinstance(rows, list)
    assert [row["identity"] for row in rows] == ["root", "alice", "anonymous", "anonymous"]
    assert rows[1] == {
        "client": alice.connection.number,
        "name": "client 1",
        "address": "client 1",
        "identity": "alice",
        "source": "token",
        "groups": ["staff"],
        "expires": 1_900_000_000.0,
        "senders": ["s"],
        "subscriptions": 1,
    }
    assert rows[2]["expires"] is None


def test_one_client_or_all_of_an_identity_are_sent_away_and_told_why() -> None:
    world, root, alice, nobody = people()
    assert root.ask(Kick(client=nobody.connection.number)) == 1
    assert "you have been sent away" in str(nobody.core.error)
    assert root.ask(Kick(identity="alice", reason="too loud")) == 1
    assert "you have been sent away: too loud" in str(alice.core.error)
    assert root.ask(Kick(identity="alice")) == 0
    assert root.ask(Kick(client=4)) == 0  # the server itself
    noted = world.server.access.audit
    assert isinstance(noted, list)
    assert [(what, more["identity"]) for what, more in noted if what == "kicked"] == [
        ("kicked", "anonymous"),
        ("kicked", "alice"),
    ]


def test_nobody_else_may() -> None:
    world, _, alice, _ = people()
    with pytest.raises(Denied, match="you may not see who is connected: no rule allows it"):
        alice.ask(Clients())
    with pytest.raises(Denied, match="you may not send clients away"):
        alice.ask(Kick(identity="root"))
    noted = world.server.access.audit
    assert isinstance(noted, list)
    assert noted[-1] == (
        "denied",
        {"identity": "alice", "action": "admin", "sender": "", "name": "", "reason": "no rule allows it"},
    )
