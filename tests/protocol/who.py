"""Servers that ask who somebody is, for tests: credentials, chance that can be told, and what was noted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any

from sig.protocol.access import Access
from sig.security.credentials import Credential
from sig.security.policy import Policy
from sig.security.proof import Cost, make_token, password_key, token_key, verifier
from sig.security.secret import Secret

# As cheap as is let through: a password takes some 30 ms then.
COST = Cost(2**14, 8, 1)
SALT = b"s" * 16
PASSWORD = "S3CR3T-password"


def token(number: int) -> str:
    return make_token(number.to_bytes(8, "big"), number.to_bytes(32, "big"))[0]


def credential(number: int, name: str, groups: tuple[str, ...] = (), expires: float = inf) -> Credential:
    """What a server keeps of `token(number)`."""
    _, made = make_token(number.to_bytes(8, "big"), number.to_bytes(32, "big"))
    return Credential(name, made.id, verifier(token_key(made)), groups, expires)


def by_password(name: str) -> Credential:
    return Credential(name, name, verifier(password_key(Secret(PASSWORD), SALT, COST)), salt=SALT, cost=COST)


def logins(*credentials: Credential) -> dict[str, Credential]:
    return {each.login: each for each in credentials}


class Noted(list[tuple[str, dict[str, object]]]):
    """What a server tells whoever watches."""

    def __call__(self, what: str, more: dict[str, object]) -> None:
        self.append((what, more))

    @property
    def kinds(self) -> list[str]:
        return [what for what, _ in self]


def make_access(*credentials: Credential, policy: Policy | None = None, **options: Any) -> tuple[Access, Noted]:
    """An access that asks for these credentials; any, where there are none and no other way."""
    numbers = count(1)
    chance: Callable[[], bytes] = lambda: next(numbers).to_bytes(32, "big")  # noqa: E731
    known = logins(*credentials) if credentials else options.pop("credentials", None)
    access = Access(chance, policy=policy, credentials=known, **options)
    noted = Noted()
    access.audit = noted
    return access, noted
