"""Who is let in, as whom, and what they may do then: what a server knows of that.

Sans-I/O: no socket, no thread, no clock; `now` is passed in, and chance. Reading files, and asking an authenticator of
the user's, is for others, who hand the outcome in.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from sig.constants import NAME_MAX_BYTES
from sig.errors import ConnectionLost, RemoteProtocolError
from sig.log import logger
from sig.messages import Auth, Challenge, Hello, decode_control, encode_control, in_a_line
from sig.protocol.frames import Frame, Kind, pack
from sig.security.attempts import Attempts
from sig.security.credentials import USUAL, Credential
from sig.security.identity import ANONYMOUS, INSIDE, Identity, Login
from sig.security.places import place_of
from sig.security.policy import Decision, Policy
from sig.security.proof import NONCE_BYTES, SALT_BYTES, holds, transcript
from sig.security.secret import Secret

if TYPE_CHECKING:
    from sig.protocol.connection import Connection
    from sig.protocol.server import ServerCore

# What somebody must do to log in again, in the sentences that refuse.
_UNKNOWN: Final = "this server does not know that token or password: get one from whoever runs it"
_TOKEN_LETTERS: Final = 16
# What a client reads, or asks for, whenever a link comes up.
_RENEWED: Final = {"carrier": "your certificate", "own": "what you logged in with"}


class Pending:
    """A login under way."""

    __slots__ = ("answered", "challenge", "hello")

    def __init__(self, hello: Hello, challenge: Challenge) -> None:
        self.hello: Hello = hello
        self.challenge: Challenge = challenge
        self.answered: bool = False


class Refusal(NamedTuple):
    """Somebody is not let in."""

    message: str
    retry_after_s: float | None = None


# What is told to whoever watches: what happened, and what to say of it.
Audit: TypeAlias = Callable[[str, dict[str, object]], object]


class Access:
    """Identities, credentials, and the policy.

    Args:
        random256: a source of 32 bytes of chance.
        policy: who may do what; `None`: everybody may everything.
        credentials: those that may log in, by login; `None`: nobody can.
        own: begins to ask the user's authenticator, which is to end in `ServerCore.logged_in`.
        anonymous: whether those are let in who prove nothing, though there is something to prove with.
    """

    def __init__(
        self,
        random256: Callable[[], bytes],
        *,
        policy: Policy | None = None,
        credentials: Mapping[str, Credential] | None = None,
        own: Callable[[Connection, Login], object] | None = None,
        anonymous: bool = False,
    ) -> None:
        self.policy: Policy | None = policy
        self.credentials: Mapping[str, Credential] | None = credentials
        self.own: Callable[[Connection, Login], object] | None = own
        self.audit: Audit | None = None
        self.attempts: Attempts = Attempts()
        self._random256 = random256
        self._anonymous = anonymous
        self._disguise = random256()  # makes salts for those who are not known
        self._expiring: dict[Connection, float] = {}
        self.due: float = inf
        """When the first of those who are in expires, in seconds since 1970."""

    # Who may do what

    def decide(self, identity: Identity | None, action: str, sender: str, name: str) -> Decision:
        """Whether that one may do that, and why."""
        if self.policy is None or identity is INSIDE:
            return _ALLOWED
        return self.policy.decide(identity or ANONYMOUS, action, sender, name)

    def possible(self, identity: Identity | None, action: str, sender: str | None, name: str | None) -> Decision:
        """Whether there is any name that matches, with which that one may do that."""
        if self.policy is None or identity is INSIDE:
            return _ALLOWED
        return self.policy.rights(identity or ANONYMOUS).possible(action, sender, name)

    # Who is let in

    def greet(self, connection: Connection, hello: Hello, now: float) -> Identity | Challenge | Refusal:
        """Somebody has said HELLO: who that is, or what it has to prove, or why it cannot come in."""
        if connection.trusted:
            return INSIDE
        carrier = _by_carrier(connection)
        asks = self.credentials is not None or self.own is not None
        if not asks or hello.login is None:
            if not asks or carrier is not ANONYMOUS or self._anonymous:
                return carrier
            return Refusal("this server wants to know who you are: give auth=..., or set $SIG_TOKEN")
        wait = self.attempts.wait(place_of(connection.address), hello.login, now)
        if wait:
            return Refusal(f"too many logins have failed: try again in {wait:.0f} s", round(wait, 3))
        return self._challenge(hello.login)

    def _challenge(self, login: str) -> Challenge | Refusal:
        if not login:
            if self.own is None:
                return Refusal("this server takes tokens and passwords alone: give auth= one of these")
            return Challenge("own")
        nonce = self._random256().hex()
        known = (self.credentials or {}).get(login)
        if known is None and _is_token(login):
            return Challenge("proof", nonce)
        salt = known.salt if known is not None else self._salt_of_nobody(login)
        cost = known.cost if known is not None else USUAL
        return Challenge("proof", nonce, salt.hex(), cost if salt else (0, 0, 0))

    def _salt_of_nobody(self, login: str) -> bytes:
        """The same each time, so that it does not tell whether there is somebody of that name."""
        return hmac.digest(self._disguise, login.encode("utf-8", "replace"), "sha256")[:SALT_BYTES]

    def answer(
        self, connection: Connection, pending: Pending, auth: Auth, now: float, wall: float
    ) -> Identity | Refusal | None:
        """What was asked has been answered; `None`: the user's authenticator is asked now."""
        hello = pending.hello
        if pending.challenge.method == "own":
            assert self.own is not None  # else there was no such challenge
            name = in_a_line(hello.name, NAME_MAX_BYTES)
            self.own(connection, Login(Secret(auth.text), connection.address, name, _by_carrier(connection)))
            return None
        login = hello.login or ""
        known = (self.credentials or {}).get(login)
        about = transcript(login, bytes.fromhex(pending.challenge.nonce), _bytes(auth.nonce))
        verifier = known.verifier if known is not None else self._disguise
        if not holds(_bytes(auth.proof), verifier, about) or known is None or len(auth.nonce) != 2 * NONCE_BYTES:
            return self.refuse(connection, login, _UNKNOWN, now)
        if known.expires <= wall:
            return self.refuse(connection, login, "the token or password has expired: get a new one", now)
        connection.credential = known
        return known.identity

    def refuse(self, connection: Connection, login: str, message: str, now: float) -> Refusal:
        """A login that was tried failed."""
        place = place_of(connection.address)
        self.attempts.failed(place, login, now)
        self.note("refused", address=connection.address, login=in_a_line(login, NAME_MAX_BYTES), reason=message)
        if (line := self.attempts.summary(now)) is not None:
            logger.warning(line)
        return Refusal(message)

    def entered(self, connection: Connection, identity: Identity, login: str | None) -> None:
        """Somebody is in; its links end when it expires."""
        if login:
            self.attempts.succeeded(place_of(connection.address), login)
        self.expect(connection, identity)
        if identity is not INSIDE:
            self.note("connected", identity=identity.name, source=identity.source, address=connection.address)

    def expect(self, connection: Connection, identity: Identity) -> None:
        """Its time will be over, if it has one."""
        self._expiring.pop(connection, None)
        if identity.expires != inf:
            self._expiring[connection] = identity.expires
            self.due = min(self.due, identity.expires)

    def left(self, connection: Connection) -> None:
        """It has gone."""
        self._expiring.pop(connection, None)

    def expire(self, wall: float) -> None:
        """End the links of those whose time is over."""
        found = [connection for connection, until in self._expiring.items() if until <= wall]
        for connection in found:
            del self._expiring[connection]
        self.due = min(self._expiring.values(), default=inf)
        for connection in found:
            identity = connection.identity or ANONYMOUS  # it has been let in, so it is somebody
            self.note("expired", identity=identity.name, source=identity.source, address=connection.address)
            if identity.source not in _RENEWED:
                connection.remove("your token or password has expired: log in with a new one")
                continue
            # It may have another by now: on its next link it shows what it has then, or is refused for good.
            why = f"{_RENEWED[identity.source]} has expired: come back with a new one"
            if connection.resumes is None:
                connection.say_bye("denied", why, 0.0)
            else:
                connection.cut(ConnectionLost(why))  # its session waits, for nobody else

    def current(self, connection: Connection) -> Identity | None:
        """Who that is by the credentials of now, which may be others than before; `None`: nobody any more."""
        old = connection.credential
        if old is None:
            return connection.identity
        known = (self.credentials or {}).get(old.login)
        return known.identity if known is not None and known.verifier == old.verifier else None

    def denied(self, connection: Connection, action: str, sender: str, name: str, decision: Decision) -> None:
        """Somebody has tried what it may not."""
        who = (connection.identity or ANONYMOUS).name
        self.note("denied", identity=who, action=action, sender=sender, name=name, reason=decision.reason)

    def note(self, what: str, **more: object) -> None:
        """Tell whoever watches."""
        if self.audit is not None:
            self.audit(what, more)


class Reception:
    """From HELLO to the moment when it is known who that is."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server

    def receive(self, connection: Connection, hello: Hello) -> None:
        """Somebody wants to come in, and we can talk."""
        found = self._server.access.greet(connection, hello, self._server.now)
        if isinstance(found, Challenge):
            connection.login = Pending(hello, found)
            connection._put(pack(Kind.CHALLENGE, encode_control(found)))
        else:
            self._decide(connection, hello, found)

    def answer(self, connection: Connection, frame: Frame) -> None:
        """AUTH has come."""
        login, auth = connection.login, decode_control(Auth, frame.body)
        if login is None or login.answered:
            raise RemoteProtocolError("the client sent AUTH, and was not asked anything")
        login.answered = True
        server = self._server
        found = server.access.answer(connection, login, auth, server.now, server.wall)
        if found is not None:
            self._decide(connection, login.hello, found)

    def logged_in(self, connection: Connection, found: Identity | Refusal) -> None:
        """The user's authenticator has said who that is, or why it cannot come in."""
        login, server = connection.login, self._server
        if connection.closed or connection.opened or login is None:
            return  # it took too long
        if isinstance(found, Refusal):
            found = server.access.refuse(connection, "", found.message, server.now)
        elif found.expires <= server.wall:
            expired = "what you logged in with has expired: get a new one"
            found = server.access.refuse(connection, "", expired, server.now)
        self._decide(connection, login.hello, found)

    def _decide(self, connection: Connection, hello: Hello, found: Identity | Refusal) -> None:
        if isinstance(found, Refusal):
            self._server.refused += 1
            connection.say_bye("denied", found.message, found.retry_after_s)
            return
        connection.identity = found
        self._server.access.entered(connection, found, hello.login)
        self._server.welcome(connection, hello)


_ALLOWED: Final = Decision(True, None)


def name_of(identity: Identity | None) -> str:
    """What a client is told of who it is: nothing where it has proved nothing."""
    return "" if identity is None or identity is ANONYMOUS or identity is INSIDE else identity.name


def _by_carrier(connection: Connection) -> Identity:
    name = connection.known_as
    return ANONYMOUS if name is None else Identity(name, expires=connection.known_until, source="carrier")


def _is_token(login: str) -> bool:
    return len(login) == _TOKEN_LETTERS and all(letter in "0123456789abcdef" for letter in login)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
