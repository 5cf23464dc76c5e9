"""Proofs: who has the key can prove it, once, and nobody else can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import Denied, InvalidArgument
from sig.security import proof
from sig.security.proof import Cost
from sig.security.secret import Secret

TEXT, TOKEN = proof.make_token(bytes(range(8)), bytes(range(32)))
CHEAP = Cost(2**14, 8, 1)


def test_a_token_is_read_back_and_never_printed() -> None:
    assert TEXT == "sig1-0001020304050607-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert proof.read_token(f" {TEXT}\n") == TOKEN
    assert TOKEN.secret.reveal() == bytes(range(32))
    assert "AAECAwQ" not in repr(TOKEN)


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "A", TEXT.replace("sig1", "sig2"), "S3CR3T"])
def test_what_is_no_token_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidArgument, match="no token") as caught:
        proof.read_token(text)
    assert not text or text not in str(caught.value)


def test_who_has_the_key_can_prove_it() -> None:
    key = proof.token_key(TOKEN)
    about = proof.transcript(TOKEN.id, b"s" * 32, b"c" * 32)
    said = proof.prove(key, about)
    assert proof.holds(said, proof.verifier(key), about)
    # The bytes, for other languages.
    assert proof.verifier(key).hex() == VERIFIER
    assert said.hex() == PROOF


VERIFIER = "952055a25981f50f0b40cfb7db42aece10d53b389da25fec728e1dd41f0c0ec6"
PROOF = "eaa016f0b5ad4a7b2b792ec5a58d8b02ff496dc3569fbc42e30ce92c8826b6ff"


@given(st.binary(max_size=40), st.text(max_size=5), st.binary(max_size=3), st.binary(max_size=3))
def test_nobody_else_can(said: bytes, login: str, server: bytes, client: bytes) -> None:
    key = proof.token_key(TOKEN)
    assert not proof.holds(said, proof.verifier(key), proof.transcript(login, server, client))


def test_a_proof_is_good_for_one_login_only() -> None:
    key = proof.token_key(TOKEN)
    known = proof.verifier(key)
    said = proof.prove(key, proof.transcript("a", b"s", b"c"))
    for other in (("a", b"t", b"c"), ("a", b"s", b"d"), ("b", b"s", b"c"), ("as", b"", b"c")):
        assert not proof.holds(said, known, proof.transcript(*other))


def test_what_the_server_keeps_proves_nothing() -> None:
    key = proof.token_key(TOKEN)
    about = proof.transcript("a", b"s", b"c")
    assert not proof.holds(proof.prove(Secret(proof.verifier(key)), about), proof.verifier(key), about)


def test_a_password_has_a_key_for_each_salt() -> None:
    one, again, other = (proof.password_key(Secret("pw"), salt, CHEAP) for salt in (b"1" * 16, b"1" * 16, b"2" * 16))
    assert one == again
    assert one != other


@pytest.mark.parametrize("cost", [Cost(2**20), Cost(2**10), Cost(2**15 + 1), Cost(2**15, 1), Cost(2**15, 8, 9)])
def test_a_cost_that_is_an_attack_is_refused(cost: Cost) -> None:
    with pytest.raises(Denied, match="not safe"):
        proof.password_key(Secret("pw"), b"1" * 16, cost)
