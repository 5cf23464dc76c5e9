"""Who may log in with what: the file that `sig token` writes, and a server reads.

It holds verifiers, not tokens and not passwords. Pure: texts in and out; `sig.security.files` reads and writes them.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Final

from sig.errors import InvalidArgument
from sig.security.identity import ANONYMOUS_NAME, Identity
from sig.security.policy import AUTHENTICATED, nearest
from sig.security.proof import KEY_BYTES, Cost

_HEAD: Final = """\
# Who may log in to a sig server. Written by `sig token`, which is also how to change it.
# Nobody can log in with what stands here; keep it to yourself nevertheless.
"""
USUAL: Final = Cost()
_KEYS: Final = ("name", "groups", "token", "password", "expires", "verifier")


@dataclass(frozen=True, slots=True)
class Credential:
    """One way in, for one identity.

    `login` is what a client says first: the id of the token, or the name that goes with a password; `salt` and `cost`
    are the password's.
    """

    name: str
    login: str
    verifier: bytes
    groups: tuple[str, ...] = ()
    expires: float = inf
    salt: bytes = b""
    cost: Cost = USUAL

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.groups, self.expires, "password" if self.salt else "token")


class CredentialsError(InvalidArgument):
    """A file of credentials that cannot be right; nobody can log in with it."""


def parse_credentials(text: str, source: str = "the file of credentials") -> dict[str, Credential]:
    """The credentials that a text says, by their logins; an empty one has none.

    Raises:
        CredentialsError: what is wrong, and where.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CredentialsError(
            f"{source} is no TOML: {error}; bring a copy back, or make it anew with sig token"
        ) from None
    tables = document.pop("credential", [])
    for key in document:
        raise CredentialsError(f"{source}: there is no table {key!r}{nearest(key, ('credential',))}")
    if not isinstance(tables, list):
        raise CredentialsError(f"{source}: credentials are written [[credential]], with two brackets")
    found: dict[str, Credential] = {}
    for number, table in enumerate(tables, 1):
        try:
            credential = _read(table)
        except ValueError as error:
            raise CredentialsError(f"{source}, credential {number}: {error}") from None
        if credential.login in found:
            raise CredentialsError(f"{source}, credential {number}: {credential.login!r} is there twice: remove one")
        found[credential.login] = credential
    return found


def format_credentials(credentials: Iterable[Credential]) -> str:
    """The text for `parse_credentials`; in each the verifier is last, so that none that is cut off has one."""
    return _HEAD + "".join(f"\n{_written(credential)}" for credential in credentials)


def check_identity(name: str) -> str:
    """`name`, if somebody may be called so who logs in; else `InvalidArgument`."""
    if not name or len(name.encode("utf-8", "replace")) > 255 or not name.isprintable():
        raise InvalidArgument(f"{name[:60]!r} is no name for an identity: use 1 to 255 letters that can be printed")
    if "*" in name or ":" in name or name in (ANONYMOUS_NAME, AUTHENTICATED):
        raise InvalidArgument(
            f"{name!r} cannot be the name of an identity: '*' and ':' have a meaning in rules, "
            f"and so have {ANONYMOUS_NAME!r} and {AUTHENTICATED!r}"
        )
    return name


def _read(table: Any) -> Credential:
    if not isinstance(table, dict):
        raise ValueError("it is no table")
    for key in table:
        if key not in _KEYS:
            raise ValueError(f"there is no key {key!r}{nearest(key, _KEYS)}")
    name = check_identity(_text(table, "name"))
    groups = table.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ValueError("groups must be a list of texts")
    if ("token" in table) == ("password" in table):
        raise ValueError("it needs one of token and password")
    expires = table.get("expires")
    if expires is not None and not (isinstance(expires, datetime) and expires.tzinfo is not None):
        raise ValueError("expires must be a time with its zone, as 2030-01-31T00:00:00Z")
    until = inf if expires is None else expires.timestamp()
    key = _hex(table, "verifier")
    if len(key) != KEY_BYTES:
        raise ValueError(f"verifier must have {KEY_BYTES} bytes in hexadecimal")
    if "token" in table:
        return Credential(name, _text(table, "token"), key, tuple(groups), until)
    try:
        kind, n, r, p, salt = _text(table, "password").split(":")
        cost, salted = Cost(int(n), int(r), int(p)), bytes.fromhex(salt)
    except ValueError:
        kind, cost, salted = "", Cost(), b""
    if kind != "scrypt" or not salted or not cost.sane:
        raise ValueError("password must be scrypt:N:R:P:SALT, as sig token writes it")
    return Credential(name, name, key, tuple(groups), until, salted, cost)


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing" if key not in table else f"{key} must be a text")
    return value


def _hex(table: Mapping[str, Any], key: str) -> bytes:
    try:
        return bytes.fromhex(_text(table, key))
    except ValueError as error:
        raise ValueError(str(error) if key not in table else f"{key} must be hexadecimal") from None


def _written(credential: Credential) -> str:
    cost = credential.cost
    lines = [f"name = {_quoted(credential.name)}"]
    if credential.groups:
        lines.append(f"groups = [{', '.join(map(_quoted, credential.groups))}]")
    if credential.salt:
        lines.append(f'password = "scrypt:{cost.n}:{cost.r}:{cost.p}:{credential.salt.hex()}"')
    else:
        lines.append(f"token = {_quoted(credential.login)}")
    if credential.expires != inf:
        until = datetime.fromtimestamp(int(credential.expires), UTC)
        lines.append(f"expires = {until.strftime('%Y-%m-%dT%H:%M:%SZ')}")
    lines.append(f'verifier = "{credential.verifier.hex()}"')
    return "\n".join(("[[credential]]", *lines, ""))


def _quoted(text: str) -> str:
    """A TOML string; JSON's are such, but for DEL, which no name here holds."""
    return json.dumps(text, ensure_ascii=False)
