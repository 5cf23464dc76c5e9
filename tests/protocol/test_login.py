"""How a client proves who it is: with the server's own side of it at the other end, and no secret on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from protocol.who import COST, PASSWORD, SALT, by_password, credential, token

from sig.errors import Denied, InvalidArgument
from sig.messages import Auth, Challenge
from sig.protocol.login import Bearer, Password, TokenProver, as_prover, discard
from sig.security.proof import holds, transcript
from sig.security.secret import Secret

NONCE = b"c" * 32
ASKED = Challenge("proof", (b"s" * 32).hex())


def test_a_token_is_proved_and_not_sent() -> None:
    prover = TokenProver(token(7))
    answer = prover.answer(ASKED, NONCE)
    known = credential(7, "alice")
    assert (prover.login, prover.bare, prover.slow) == (known.login, False, False)
    about = transcript(known.login, b"s" * 32, bytes.fromhex(answer.nonce))
    assert holds(bytes.fromhex(answer.proof), known.verifier, about)
    assert answer.text == ""
    assert TokenProver(Secret(token(7))).login == prover.login


def test_a_password_is_proved_and_not_sent() -> None:
    prover = Password("bob", PASSWORD)
    answer = prover.answer(Challenge("proof", ASKED.nonce, SALT.hex(), tuple(COST)), NONCE)
    assert holds(bytes.fromhex(answer.proof), by_password("bob").verifier, transcript("bob", b"s" * 32, NONCE))
    assert Password("bob", Secret(PASSWORD)).slow
    assert PASSWORD not in repr(vars(prover))


def test_what_the_servers_own_authenticator_takes_is_sent_as_it_is() -> None:
    asked = Challenge("own")
    assert Bearer("text").answer(asked, NONCE) == Auth(text="text")
    assert Bearer(Secret("text")).answer(asked, NONCE) == Auth(text="text")
    assert Bearer(lambda: "text").answer(asked, NONCE) == Auth(text="text")
    assert Bearer("x").bare

    async def later() -> str:
        return "text"

    async def main() -> Auth:
        answer: Any = Bearer(later).answer(asked, NONCE)
        found: Auth = await answer
        return found

    assert asyncio.run(main()) == Auth(text="text")


def test_an_answer_that_nobody_awaits_is_closed() -> None:
    async def later() -> str:
        raise AssertionError

    discard(Bearer(later).answer(Challenge("own"), NONCE))
    discard(Auth())

    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        discard(Bearer(lambda: future).answer(Challenge("own"), NONCE))
        assert not future.done()

    asyncio.run(main())


@pytest.mark.parametrize("prover", [TokenProver(token(7)), Password("bob", "x")])
def test_who_is_asked_for_something_else_says_so(prover: TokenProver | Password) -> None:
    with pytest.raises(Denied, match="wants something for its own authenticator"):
        prover.answer(Challenge("own"), NONCE)
    with pytest.raises(Denied, match="wants a token or a password"):
        Bearer("x").answer(ASKED, NONCE)


def test_a_server_that_asks_nonsense_is_not_answered() -> None:
    with pytest.raises(Denied, match="no hexadecimal number"):
        TokenProver(token(7)).answer(Challenge("proof", "xyz"), NONCE)
    with pytest.raises(Denied, match="not safe"):
        Password("bob", "x").answer(Challenge("proof", ASKED.nonce, "xyz"), NONCE)


def test_what_auth_may_be() -> None:
    password, bearer = Password("bob", "x"), Bearer("x")
    assert (as_prover(None), as_prover(password), as_prover(bearer)) == (None, password, bearer)
    for given in (token(7), Secret(token(7)), TokenProver(token(7))):
        assert isinstance(as_prover(given), TokenProver)
    with pytest.raises(InvalidArgument, match="not a int"):
        as_prover(3)
    with pytest.raises(InvalidArgument, match="no token"):
        as_prover(PASSWORD)
