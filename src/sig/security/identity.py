"""Who somebody is, as far as the server knows."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from sig.security.secret import Secret

ANONYMOUS_NAME: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has been let in. Your own authenticator returns one, or just a name.

    Args:
        name: what a policy calls it by, `who = "alice"`. Clients that the carrier knows are called `uid:1000` (unix
            sockets) and `cert:laser.lab` (TLS with the clients' certificates); anybody else is `anonymous`.
        groups: those it is in, beside the ones of the policy; without the `group:` that rules write.
        expires: when it ends, in seconds since 1970; its links are closed then.
        source: how it was proved: `none`, `token`, `password`, `carrier`, `own` (your authenticator), or `inside`.
    """

    name: str
    groups: tuple[str, ...] = ()
    expires: float = inf
    source: str = "own"

    def same_as(self, other: object) -> bool:
        """Whether that is the same one, in the same way; when it expires does not matter."""
        return isinstance(other, Identity) and (self.name, self.source) == (other.name, other.source)


ANONYMOUS: Final = Identity(ANONYMOUS_NAME, source="none")
"""Whoever is not known."""

INSIDE: Final = Identity("server", source="inside")
"""The router of the server itself: it may everything, whatever a policy says."""


class Login(NamedTuple):
    """Somebody who wants to come in with something that your own authenticator takes."""

    text: Secret
    """What it gave as `auth=`: `login.text.reveal()`."""
    address: str
    """Where it is."""
    name: str
    """What it calls itself, for logs; proves nothing."""
    carrier: Identity
    """Who the carrier says it is; `anonymous` where that does not know."""


class Anonymous:
    """In `auth=` of a server, beside others: whoever proves nothing is let in too, as `anonymous`."""
