"""Who is let in, as whom, and for how long: real clients at the other end, and liars."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from protocol.pairs import Cut, End, Raw, World, byte_by_byte, seeded, whole
from protocol.test_absences import away
from protocol.who import PASSWORD, by_password, credential, logins, make_access, token

from sig.errors import Denied
from sig.messages import AddSender, Auth, Challenge, Hello, Presence, Stats, decode_control, encode_control
from sig.protocol.access import Refusal
from sig.protocol.connection import Connection
from sig.protocol.frames import PREFACE, Kind, pack
from sig.protocol.login import Bearer, Password, Prover, TokenProver
from sig.security.attempts import FREE
from sig.security.identity import ANONYMOUS, INSIDE, Identity, Login
from sig.security.policy import Policy, allow
from sig.security.proof import NONCE_BYTES, token_key, transcript
from sig.security.proof import prove as prove_it
from sig.security.secret import Secret

ALICE = credential(7, "alice", ("staff",))
CUTS = [whole, byte_by_byte, seeded(3)]


def who(end: End) -> Identity | None:
    return end.connection.identity


def why_not(world: World, prover: Prover | None, **options: Any) -> str:
    """What somebody is told who is not let in."""
    end = world.client(prover=prover, **options)
    assert not end.core.opened
    assert who(end) is None
    assert isinstance(end.core.error, Denied)
    return str(end.core.error)


# -- who is who ----------------------------------------------------------------------------------


def test_a_server_that_does_not_ask_takes_the_carriers_word() -> None:
    world = World()
    assert who(world.client()) == ANONYMOUS
    assert who(world.client(known_as="uid:1000")) == Identity("uid:1000", source="carrier")
    # What a client could prove is of no interest here.
    assert who(world.client(prover=TokenProver(token(7)))) == ANONYMOUS


@pytest.mark.parametrize("cut", CUTS)
def test_a_token_and_a_password_say_who_somebody_is(cut: Cut) -> None:
    access, noted = make_access(ALICE, by_password("bob"))
    world = World(cut=cut, access=access)
    alice, bob = world.client(prover=TokenProver(token(7))), world.client(prover=Password("bob", PASSWORD))
    assert who(alice) == Identity("alice", ("staff",), inf, "token")
    assert who(bob) == Identity("bob", (), inf, "password")
    assert alice.core.welcome is not None
    assert alice.core.welcome.identity == "alice"
    assert alice.flush() is None
    assert noted.kinds == ["connected", "connected"]
    assert noted[0][1] == {"identity": "alice", "source": "token", "address": "client 0"}


def test_who_proves_nothing_is_let_in_only_where_the_carrier_knows_or_anybody_may() -> None:
    access, _ = make_access(ALICE)
    world = World(access=access)
    assert "wants to know who you are: give auth=..." in why_not(world, None)
    assert who(world.client(known_as="cert:lab")) == Identity("cert:lab", source="carrier")
    # A proof goes before what the carrier knows.
    known = who(world.client(known_as="cert:lab", prover=TokenProver(token(7))))
    assert known is not None
    assert known.name == "alice"
    open_to_all, _ = make_access(ALICE, anonymous=True)
    assert who(World(access=open_to_all).client()) == ANONYMOUS


def test_the_servers_own_router_need_not_prove_anything_and_may_everything() -> None:
    access, noted = make_access(ALICE, policy=Policy())
    world = World(access=access)
    end = world.client(settle=False)
    end.connection.trusted = True
    world.settle()
    assert who(end) is INSIDE
    assert end.add("s", "e")
    assert end.listen(1) is None
    assert noted == []


@pytest.mark.parametrize(
    "prover",
    [TokenProver(token(8)), Password("alice", "x"), Password("nobody", PASSWORD)],
    ids=["an unknown token", "a token's name", "an unknown name"],
)
def test_whoever_cannot_prove_it_is_refused_in_the_same_words(prover: Prover) -> None:
    access, noted = make_access(ALICE, by_password("bob"))
    world = World(access=access)
    assert why_not(world, prover) == (
        "the server refused: this server does not know that token or password: get one from whoever runs it"
    )
    assert why_not(world, Password("bob", "wrong")).endswith("get one from whoever runs it")
    assert noted.kinds == ["refused", "refused"]
    assert noted[0][1]["login"] == prover.login
    assert world.server.refused == 2


def test_a_server_that_takes_no_text_says_so_and_one_that_takes_nothing_else_refuses_tokens() -> None:
    world = World(access=make_access(ALICE)[0])
    assert "takes tokens and passwords alone" in why_not(world, Bearer("x"))
    world = World(access=make_access(own=lambda connection, login: None)[0])
    assert "does not know that token" in why_not(world, TokenProver(token(7)))


# -- liars ---------------------------------------------------------------------------------------


def asked(world: World, login: str) -> tuple[Raw, Challenge]:
    """Somebody who has been asked to prove something."""
    raw = Raw(world, hello=Hello([1], ["json"], login=login))
    (frame,) = raw.read()
    assert frame.kind == Kind.CHALLENGE
    return raw, decode_control(Challenge, frame.body)


def answer(raw: Raw, auth: Auth) -> None:
    raw.send(pack(Kind.AUTH, encode_control(auth)))


def proof_for(challenge: Challenge, login: str, nonce: bytes) -> str:
    key = token_key(TokenProver(token(7))._token)
    return prove_it(key, transcript(login, bytes.fromhex(challenge.nonce), nonce)).hex()


def test_every_login_is_asked_something_new_and_nothing_tells_whether_a_name_exists() -> None:
    world = World(access=make_access(ALICE, by_password("bob"))[0])
    one, other = asked(world, ALICE.login)[1], asked(world, ALICE.login)[1]
    assert one.nonce != other.nonce
    bob, nobody, again = (asked(world, login)[1] for login in ("bob", "nobody", "nobody"))
    assert len(bob.salt) == len(nobody.salt) > 0
    assert nobody.salt == again.salt != asked(world, "anybody")[1].salt
    unknown = asked(world, "0123456789abcdef")[1]
    assert (unknown.salt, unknown.cost) == (one.salt, one.cost)


def test_a_proof_that_was_overheard_is_of_no_use() -> None:
    world = World(access=make_access(ALICE)[0])
    raw, challenge = asked(world, ALICE.login)
    said = Auth((b"c" * NONCE_BYTES).hex(), proof_for(challenge, ALICE.login, b"c" * NONCE_BYTES))
    answer(raw, said)
    assert raw.connection.opened
    thief, _ = asked(world, ALICE.login)
    answer(thief, said)
    assert not thief.connection.opened


def test_a_proof_needs_a_nonce_of_the_clients_own() -> None:
    world = World(access=make_access(ALICE)[0])
    raw, challenge = asked(world, ALICE.login)
    answer(raw, Auth("", proof_for(challenge, ALICE.login, b"")))
    assert not raw.connection.opened
    raw, challenge = asked(world, ALICE.login)
    answer(raw, Auth("no hex", "no hex"))
    assert not raw.connection.opened


@pytest.mark.parametrize("cut", CUTS)
def test_the_order_of_a_login_cannot_be_broken(cut: Cut) -> None:
    def world() -> World:
        return World(cut=cut, access=make_access(ALICE)[0])

    raw = Raw(world())
    raw.send(PREFACE, pack(Kind.AUTH, encode_control(Auth())))
    assert "was not asked anything" in raw.last_words()
    raw, _ = asked(world(), ALICE.login)
    raw.send(pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
    assert "second HELLO" in raw.last_words()
    raw, _ = asked(world(), ALICE.login)
    raw.send(pack(Kind.CALL, encode_control(Stats()), route=1))
    assert "CALL before the handshake is complete" in raw.last_words()
    raw, challenge = asked(world(), ALICE.login)
    good = pack(
        Kind.AUTH,
        encode_control(Auth(bytes(NONCE_BYTES).hex(), proof_for(challenge, ALICE.login, bytes(NONCE_BYTES)))),
    )
    raw.send(good, good)
    assert "AUTH, which has no business" in raw.last_words()


def test_who_does_not_answer_is_sent_away() -> None:
    world = World(access=make_access(ALICE)[0], handshake_timeout_s=5)
    raw, _ = asked(world, ALICE.login)
    world.advance(6)
    assert "no handshake within 5 s" in raw.last_words()


def test_a_client_that_is_asked_twice_does_not_answer_again() -> None:
    world = World(access=make_access(ALICE)[0])
    world.proves = False
    end = world.client(prover=TokenProver(token(7)))
    assert end.core.challenge is not None
    end.core.receive_at(pack(Kind.CHALLENGE, encode_control(Challenge("own"))), world.now)
    assert "CHALLENGE before the handshake is complete" in str(end.core.error)
    end.core.answer(Auth())  # of no effect any more


# -- guessing ------------------------------------------------------------------------------------


def test_whoever_guesses_must_wait_and_the_log_gets_one_line(caplog: pytest.LogCaptureFixture) -> None:
    world = World(access=make_access(ALICE)[0])
    for _ in range(FREE + 1):
        assert "does not know" in why_not(world, TokenProver(token(8)))
    end = world.client(prover=TokenProver(token(8)))
    assert "too many logins have failed: try again in 1 s" in str(end.core.error)
    assert end.core.farewell is not None
    assert end.core.farewell.retry_after_s == 1.0
    assert caplog.text.count("login refused") == 1
    world.advance(1.5)
    assert "does not know" in why_not(world, TokenProver(token(8)))
    # Another name at the same place waits too, if it logs in; then it has a good name again.
    world.advance(30)
    assert who(world.client(prover=TokenProver(token(7)))) is not None


# -- one's own authenticator ---------------------------------------------------------------------


def test_where_nobody_watches_nothing_is_told() -> None:
    world = World()
    told: list[str] = []
    access = world.server.access
    access.audit = lambda what, more: told.append(what)
    world.client()
    access.audit = None
    world.client()
    assert told == ["connected"]


def test_ones_own_authenticator_is_asked_and_says_who_it_is() -> None:
    begun: list[tuple[Connection, Login]] = []
    access, noted = make_access(own=lambda connection, login: begun.append((connection, login)))
    world = World(access=access)
    end = world.client(prover=Bearer("S3CR3T"), known_as="uid:1")
    ((connection, login),) = begun
    assert not end.core.opened
    assert (login.text.reveal(), login.address, login.name) == (b"S3CR3T", "client 0", "client 0")
    assert login.carrier == Identity("uid:1", source="carrier")
    assert "S3CR3T" not in repr(login)
    world.server.logged_in(connection, Identity("carl"), world.now)
    world.settle()
    assert who(end) == Identity("carl")
    world.server.logged_in(connection, Refusal("late"), world.now)  # it has been let in
    assert end.flush() is None
    assert noted.kinds == ["connected"]


def test_ones_own_authenticator_may_refuse_and_what_has_expired_is_refused() -> None:
    begun: list[Connection] = []
    access, noted = make_access(own=lambda connection, login: begun.append(connection))
    world = World(access=access)
    one, other, gone = (world.client(prover=Bearer("x")) for _ in range(3))
    world.lose(gone)
    world.server.logged_in(begun[0], Refusal("not you"), world.now)
    world.server.logged_in(begun[1], Identity("carl", expires=1.0), world.now)
    world.server.logged_in(begun[2], Identity("carl"), world.now)
    world.settle()
    assert str(one.core.error) == "the server refused: not you"
    assert "has expired" in str(other.core.error)
    assert noted.kinds == ["refused", "refused"]


# -- the end of it -------------------------------------------------------------------------------


def test_what_has_expired_lets_nobody_in() -> None:
    access, noted = make_access(credential(7, "alice", expires=5.0))
    assert "has expired: get a new one" in why_not(World(access=access), TokenProver(token(7)))
    assert noted.kinds == ["refused"]


def test_a_link_ends_when_what_it_logged_in_with_does() -> None:
    wall = World().now + 1_700_000_000.0
    access, noted = make_access(
        credential(7, "alice", expires=wall + 10), credential(8, "bob", expires=wall + 20), ALICE_2
    )
    world = World(access=access, heartbeat_s=1000, heartbeat_timeout_s=2500)
    alice, bob, gone = (world.client(prover=TokenProver(token(n))) for n in (7, 8, 8))
    world.client(prover=TokenProver(token(9)))
    bob.add("s", "e")
    bob.listen(1)
    world.lose(gone)
    assert world.due == world.now + 10
    world.advance(9)
    assert alice.flush() is None
    world.advance(1)
    assert "has expired: log in with a new one" in str(alice.core.error)
    assert alice.connection.closed
    assert noted[-1] == ("expired", {"identity": "alice", "source": "token", "address": "client 0"})
    assert world.due == world.now + 10
    assert bob.flush() is None
    world.advance(10)
    assert bob.connection.closed
    assert world.due is None


ALICE_2 = credential(9, "alice")


def test_who_shows_something_new_on_each_link_comes_back_when_it_expires() -> None:
    world = World(heartbeat_s=1000, heartbeat_timeout_s=2500)
    wall = world.now + 1_700_000_000.0
    lab = world.client(known_as="cert:lab", settle=False, offline=away())
    lab.connection.known_until = wall + 10
    world.settle()
    lab.ask(AddSender("s", ["e"]))
    other = world.client()
    other.listen(1)
    assert lab.connection.identity == Identity("cert:lab", expires=wall + 10, source="carrier")
    world.advance(10)
    assert "your certificate has expired: come back with a new one" in lab.core.last_words
    assert not lab.core.sent_away
    world.come_back(lab)  # with a certificate that holds for longer
    lab.ask(AddSender("s", ["e"]))
    world.advance(10)
    assert lab.flush() is None
    assert [news for news in other.news if isinstance(news, Presence)] == []


def test_a_session_outlives_what_a_link_showed() -> None:
    world = World(heartbeat_s=1000, heartbeat_timeout_s=2500)
    lab = world.client(known_as="cert:lab", settle=False, reliable=True)
    lab.connection.known_until = world.now + 1_700_000_010.0
    world.settle()
    world.advance(10)
    assert lab.connection.parted
    assert not lab.connection.closed


def test_who_is_sent_away_gets_nothing_that_still_waits_and_leaves_as_kicked() -> None:
    world = World(access=make_access(ALICE, ALICE_2)[0])
    alice, other = world.client(prover=TokenProver(token(7))), world.client(prover=TokenProver(token(9)))
    alice.add("s", "e")
    other.listen(1)
    alice.connection.put(pack(Kind.ROUTE_GONE, b"{}", route=99))
    alice.connection.remove("go")
    alice.connection.remove("go")  # the second time nothing
    world.server.govern(None, world.server.access.credentials, world.now)
    world.settle()
    assert "go" in str(alice.core.error)
    assert alice.core.farewell is not None
    assert alice.core.farewell.code == "denied"
    assert [news.data["reason"] for news in other.news if getattr(news, "event", "") == "#disconnect"] == ["kicked"]


@pytest.mark.parametrize(
    "now",
    [
        [],
        [credential(8, "alice", ("staff",))],
        [credential(7, "alice", ("staff",)).__class__("alice", ALICE.login, b"x" * 32)],
    ],
    ids=["revoked", "another token", "another secret"],
)
def test_whose_credential_is_gone_is_sent_away(now: list[Any]) -> None:
    world = World(access=make_access(ALICE)[0])
    end = world.client(prover=TokenProver(token(7)))
    by_carrier = world.client(known_as="uid:1")
    world.server.govern(None, logins(*now), world.now)
    world.settle()
    assert "holds no more" in str(end.core.error)
    assert by_carrier.flush() is None


def test_whose_groups_or_time_change_keeps_the_link_with_other_rights() -> None:
    policy = Policy([allow("group:staff", "list")], {"staff": []})
    world = World(access=make_access(ALICE, policy=policy)[0])
    end = world.client(prover=TokenProver(token(7)))
    assert end.ask(Stats())
    world.server.govern(policy, logins(credential(7, "alice", (), world.now + 1_700_000_005.0)), world.now)
    with pytest.raises(Denied, match="no rule allows it"):
        end.ask(Stats())
    world.advance(6)
    assert "has expired" in str(end.core.error)


def test_a_secret_is_in_no_answer_and_no_note(caplog: pytest.LogCaptureFixture) -> None:
    access, noted = make_access(by_password("bob"))
    world = World(access=access)
    ends = [world.client(prover=Password("bob", PASSWORD)), world.client(prover=Password("bob", PASSWORD + "x"))]
    shown = [caplog.text, repr(noted), repr(vars(access)), *(repr(end.core.error) for end in ends)]
    assert not any("S3CR3T" in text for text in shown)
    assert repr(Secret(PASSWORD)) == "Secret(...)"


def test_nobody_need_watch() -> None:
    access, _ = make_access(ALICE)
    access.audit = None
    assert who(World(access=access).client(prover=TokenProver(token(7)))) is not None
