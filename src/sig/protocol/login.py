"""How a client proves who it is, when the server asks.

Sans-I/O: no socket, no thread, no clock, and chance is passed in. What is slow is said to be: drivers run it elsewhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeAlias

from sig.errors import Denied, InvalidArgument
from sig.messages import Auth, Challenge
from sig.security.credentials import check_identity
from sig.security.proof import Cost, password_key, prove, read_token, token_key, transcript
from sig.security.secret import Secret

# What your own authenticator takes: a text, or what gives one whenever a link comes up.
Given: TypeAlias = str | Secret | Callable[[], str | Awaitable[str]]


class Prover(Protocol):
    """What `auth=` of a client becomes."""

    @property
    def login(self) -> str:
        """What is said first; no secret."""
        ...

    @property
    def bare(self) -> bool:
        """Whether the secret itself crosses the link."""
        ...

    @property
    def slow(self) -> bool:
        """Whether `answer` may take long, and is not to be called on a loop."""
        ...

    def answer(self, challenge: Challenge, nonce: bytes) -> Auth | Awaitable[Auth]:
        """The answer to a challenge; `nonce` is 32 bytes of chance. Raises `Denied` where there is none."""
        ...


class TokenProver:
    """A token, as `sig token` prints it. Raises `InvalidArgument` for what is none."""

    bare = False
    slow = False

    def __init__(self, token: str | Secret) -> None:
        self._token = read_token(token.reveal().decode("utf-8", "replace") if isinstance(token, Secret) else token)
        self.login: str = self._token.id

    def answer(self, challenge: Challenge, nonce: bytes) -> Auth:
        return _proved(token_key(self._token), self.login, _checked(challenge, "proof"), nonce)


class Password:
    """A name and its password, for `auth=` of a client.

    The password itself is never sent. Connecting takes a tenth of a second longer, which makes guessing slow.

    Args:
        name: of the identity.
        password: a text, or a `Secret`.
    """

    bare = False
    slow = True

    def __init__(self, name: str, password: str | Secret) -> None:
        self.login: str = check_identity(name)
        self._password = password if isinstance(password, Secret) else Secret(password)

    def answer(self, challenge: Challenge, nonce: bytes) -> Auth:
        """Implements `Prover`."""
        _checked(challenge, "proof")
        try:
            salt = bytes.fromhex(challenge.salt)
        except ValueError:
            salt = b""
        key = password_key(self._password, salt, Cost(*challenge.cost))
        return _proved(key, self.login, challenge, nonce)


class Bearer:
    """Something that the server's own authenticator takes, for `auth=` of a client: a signed token of yours, say.

    It is sent as it is, so the link must be encrypted, or stay on this machine.

    Args:
        text: the text, a `Secret`, or a function that returns the text whenever a link comes up; in asyncio it may be
            a coroutine function.
    """

    bare = True
    slow = True
    login = ""

    def __init__(self, text: Given) -> None:
        self._text = Secret(text) if isinstance(text, str) else text

    def answer(self, challenge: Challenge, nonce: bytes) -> Auth | Awaitable[Auth]:
        """Implements `Prover`."""
        _checked(challenge, "own")
        if isinstance(self._text, Secret):
            return Auth(text=self._text.reveal().decode("utf-8", "replace"))
        text = self._text()
        return Auth(text=text) if isinstance(text, str) else _Later(text)


def as_prover(auth: object) -> Prover | None:
    """What `auth=` says: `None`, a token, a `Password` or a `Bearer`. Raises `InvalidArgument` for anything else."""
    if auth is None or isinstance(auth, Password | Bearer | TokenProver):
        return auth
    if isinstance(auth, str | Secret):
        return TokenProver(auth)
    raise InvalidArgument(
        f"auth= of a client is a token, sig.security.Password(...) or sig.security.Bearer(...), "
        f"not a {type(auth).__name__}"
    )


class _Later:
    """An answer whose text is to be awaited."""

    def __init__(self, text: Awaitable[str]) -> None:
        self._text = text

    def __await__(self) -> Generator[Any, None, Auth]:
        return Auth(text=(yield from self._text.__await__()))

    def discard(self) -> None:
        if inspect.iscoroutine(self._text):
            self._text.close()


def discard(answer: object) -> None:
    """Nobody awaits that."""
    if isinstance(answer, _Later):
        answer.discard()


def _checked(challenge: Challenge, method: str) -> Challenge:
    if challenge.method != method:
        theirs = "something for its own authenticator" if challenge.method == "own" else "a token or a password"
        raise Denied(f"the server wants {theirs}: give auth= what it takes")
    return challenge


def _proved(key: Secret, login: str, challenge: Challenge, nonce: bytes) -> Auth:
    try:
        theirs = bytes.fromhex(challenge.nonce)
    except ValueError:
        raise Denied("the server asks with a nonce that is no hexadecimal number: it is none of ours") from None
    return Auth(nonce.hex(), prove(key, transcript(login, theirs, nonce)).hex())
