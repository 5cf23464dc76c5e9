"""Secrets that can be recognised: whatever happens to who logs in with them, nobody sees them who need not.

Beside these, no test of the whole suite may log one: see `no_secret_is_logged` in conftest.py.
"""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from canary import CANARY, shows_a_secret
from protocol.pairs import World
from protocol.who import PASSWORD, by_password, credential, make_access, token

import sig
import sig.aio
from sig.errors import Denied
from sig.messages import Clients, Senders, Stats
from sig.protocol.login import Bearer, Password, Prover, TokenProver
from sig.security import Credentials, Login, Policy, Secret, allow
from sig.security.identity import Identity

BEARER = f"{CANARY}-bearer"


def spellings(secret: bytes) -> list[bytes]:
    """Ways in which it might stand in a frame."""
    return [secret, secret.hex().encode(), base64.b64encode(secret)[:-2], base64.urlsafe_b64encode(secret)[:-2]]


# What must stay at home: all of the password, and the part of a token that is no name.
SECRETS = [*spellings(PASSWORD.encode()), *spellings((7).to_bytes(32, "big")), *spellings((8).to_bytes(32, "big"))]


class Line:
    """All that crosses the links of a world, in pieces as they come."""

    def __init__(self) -> None:
        self.seen = bytearray()

    def __call__(self, data: bytes) -> list[bytes]:
        self.seen += data
        return [data] if data else []


@pytest.mark.parametrize(
    ("prover", "enters"),
    [
        (TokenProver(token(7)), True),
        (TokenProver(token(8)), False),
        (Password("bob", PASSWORD), True),
        (Password("bob", f"{PASSWORD}-wrong"), False),
        (Password("nobody", PASSWORD), False),
    ],
)
def test_no_token_and_no_password_crosses_a_link(prover: Prover, enters: bool) -> None:
    line = Line()
    access, _ = make_access(credential(7, "alice"), by_password("bob"))
    world = World(access=access, cut=line)
    end = world.client(prover=prover)
    assert end.connection.opened is enters
    if enters:
        for call in (Senders(), Stats(), Clients()):
            end.ask(call)
    assert len(line.seen) > 300
    assert [found for found in SECRETS if found in line.seen] == []


def test_what_an_authenticator_takes_goes_to_the_server_once_and_nowhere_else() -> None:
    line = Line()
    asked: list[tuple[Any, Login]] = []
    access, noted = make_access(own=lambda *what: asked.append(what))
    world = World(access=access, cut=line)
    world.proves = True
    end, other = world.client(prover=Bearer(BEARER)), world.client(prover=Bearer("else"))
    for (connection, login), name in zip(asked, ("alice", "bob"), strict=True):
        assert BEARER not in repr(login)
        world.server.logged_in(connection, Identity(name), world.now)
    world.settle()
    assert other.connection.opened
    for call in (Senders(), Stats(), Clients()):
        other.ask(call)
        end.ask(call)
    assert line.seen.count(BEARER.encode()) == 1
    assert BEARER not in repr(noted)


@pytest.fixture
def store(tmp_path: Path) -> Credentials:
    store = Credentials(tmp_path / "tokens.toml")
    store.save([credential(7, "alice"), by_password("bob")])
    return store


class Shown:
    """All that somebody might see."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, *things: object) -> None:
        for thing in things:
            self.texts += [str(thing), repr(thing)]

    def attempt(self, what: Callable[[], object]) -> bool:
        """Whether it went well; what it returned or raised is shown, the traceback too."""
        try:
            self.add(what())
        except sig.SigError as error:
            self.texts += traceback.format_exception(error)
            return False
        return True


def ask(login: Login) -> str | None:
    if login.text == Secret(f"{BEARER}-fails"):
        raise LookupError("the authenticator is broken")
    if login.text == Secret(f"{BEARER}-no"):
        raise Denied("not you")
    return "carol" if login.text == Secret(BEARER) else None


EVERYTHING = allow("*", ["own", "trigger", "listen", "request", "list", "admin"])
ADMIN = Policy([EVERYTHING, allow("*", "listen", events="#audit")])


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[Shown]:
    """In the end, nothing that was shown or logged shows a secret. All is logged that can be."""
    shown = Shown()
    caplog.set_level(logging.DEBUG)
    yield shown
    shown.texts += [caplog.text, *(repr(vars(record)) for record in caplog.records)]
    assert sum(map(len, shown.texts)) > 1000
    assert [text for text in shown.texts if shows_a_secret(text)] == []


@pytest.mark.parametrize("way", ["file", "own"])
def test_nothing_that_can_be_seen_shows_a_secret(way: str, store: Credentials, everything: Shown) -> None:
    right: list[Any] = [Bearer(BEARER)] if way == "own" else [token(7), Password("bob", PASSWORD)]
    wrong: list[Any] = [Bearer(f"{BEARER}-no"), Bearer(f"{BEARER}-fails"), Bearer(f"{BEARER}-x"), token(8)]
    if way == "file":
        wrong = [token(8), Password("bob", f"{PASSWORD}-wrong"), Password(CANARY[:3], PASSWORD), Bearer(BEARER)]
    show = everything
    with sig.serve("tcp://127.0.0.1:0", auth=ask if way == "own" else store, acl=ADMIN) as server:
        url = server.urls[0]
        server.listen(show.add, "server", "#audit")
        show.add(*(auth for auth in (*right, *wrong) if not isinstance(auth, str)))
        for auth in right:
            with sig.connect(url, auth=auth) as client:
                client.listen(show.add, "server", "#audit")
                client.add_sender("s", ["e"], {"fail": lambda params: 1 / 0})
                assert not show.attempt(lambda: client.request("s", "fail"))
                for look in (client.clients, client.senders, client.stats, lambda: client, lambda: vars(client)):
                    assert show.attempt(look)
                show.add(server.clients(), server.stats(), server, vars(server))
                server.kick(server.clients()[0].identity, reason="go")
                assert not show.attempt(partial(client.wait, 20))
                assert not show.attempt(client.senders)
        for auth in wrong:
            assert not show.attempt(partial(sig.connect, url, auth=auth, name="wrong"))
        for text in (token(7)[:-1], f"{token(7)} {token(7)}", CANARY):
            assert not show.attempt(partial(sig.connect, url, auth=text))
