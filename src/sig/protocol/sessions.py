"""Clients whose sessions outlive their links, at a server: who is away, who is back, and who is given up.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. The `Connection` of such a client stays when its link is
lost, with all that it holds: it listens, is asked and waits like one whose link takes nothing. A link on which it comes
back takes its place: the driver is told that what comes there is the old connection's from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sig.errors import ConnectionLost, RemoteProtocolError
from sig.messages import RELIABLE, Hello
from sig.protocol.connection import Connection
from sig.protocol.frames import FrameReader
from sig.protocol.session import COUNTS, MEMORY, UNKNOWN, Session

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# Of sessions that were given up, so many are remembered, to say so.
_REMEMBERED: Final = 1024
# Of tokens that a client may have and has not shown to have, so many hold.
_MOST_TOKENS: Final = 8
# So much may be kept for one client at least, however many there are.
_LEAST_WINDOW: Final = 64 * 1024


class Sessions:
    """Those of one server, and the tokens of all its clients.

    Only hashes of the tokens are kept: who reads the memory of a server, or a dump of it, cannot come back as another.
    """

    def __init__(self, server: ServerCore) -> None:
        self.moved: Callable[[Connection, Connection | None], object] = _nowhere
        """Called when what a link brings belongs to another connection from now on; `None`: to nobody, and it ends."""
        self._server = server
        self._by_token: dict[bytes, Connection] = {}
        self._tokens: dict[Connection, list[bytes]] = {}  # the new one last
        self._away: dict[Connection, float] = {}  # when each is given up, in that order
        self._due: dict[Connection, float] = {}  # when each has to acknowledge something, in that order
        self._given_up: dict[bytes, None] = {}
        self._reliable: dict[Connection, None] = {}

    def __len__(self) -> int:
        """How many are away."""
        return len(self._away)

    # Tokens

    def token(self, connection: Connection) -> str:
        """A new one for a client that has come. Those before hold until it is known to have this one.

        All of them: of two attempts the one that was given up may be read last, and the client goes on with the other.
        """
        token = "".join(f"{self._server.random64():016x}" for _ in range(4))
        known = self._tokens.setdefault(connection, [])
        known.append(_hashed(token))
        self._by_token[known[-1]] = connection
        if len(known) > _MOST_TOKENS:
            del self._by_token[known.pop(0)]
        return token

    def find(self, token: str) -> Connection | None:
        """Whose last link had that token."""
        return self._by_token.get(_hashed(token))

    def confirmed(self, connection: Connection) -> None:
        """It has got its new token."""
        known = self._tokens[connection]
        for old in known[:-1]:
            del self._by_token[old]
        del known[:-1]

    def forget(self, connection: Connection) -> None:
        """It does not come back, or another connection stands for it."""
        for token in self._tokens.pop(connection, ()):
            del self._by_token[token]

    # Who comes and goes

    def begin(self, connection: Connection, hello: Hello) -> bool:
        """A client has been let in, with a session that is new; whether it shall outlive the link."""
        wanted = connection.returns and RELIABLE in hello.features
        if wanted:
            limits = self._server.limits
            self._reliable[connection] = None
            # Those who come early have as much as they may; all together hardly more than is there for all links.
            share = limits.memory_bytes // 4 // len(self._reliable)
            connection.resumes = Session(min(limits.resend_bytes, max(_LEAST_WINDOW, share)))
        return wanted

    def resume(self, connection: Connection, hello: Hello) -> Connection | str:
        """Somebody wants to go on with its session: the connection that has it, or why it must have a new one."""
        token, server = hello.session or "", self._server
        old = self.find(token)
        if old is None or old.resumes is None or old.closed:
            return MEMORY if _hashed(token) in self._given_up else UNKNOWN
        if old.identity is None or not old.identity.same_as(connection.identity):
            who = "" if connection.identity is None else connection.identity.name
            why = "the session is another's"
            server.access.note("refused", address=connection.address, login=who, reason=why)
            return UNKNOWN
        try:
            old.resumes.go_on(hello.received or 0)
        except RemoteProtocolError:
            self._give_up(old)
            server.settle()
            return COUNTS
        if self._away.pop(old, None) is None:
            self._leave_link(old)
        self._tokens[old].sort(key=_hashed(token).__eq__)  # those that are not shown any more are forgotten first
        old._keeps()
        self._take_over(old, connection)
        return old

    def _take_over(self, old: Connection, new: Connection) -> None:
        """The link of one becomes that of the other."""
        server = self._server
        old._first = new._first  # it may not have left yet
        old._reader = FrameReader(server.limits.max_frame_bytes, peer=old.number)
        old.rhythm = new.rhythm
        old.address, old.known_as, old.known_until = new.address, new.known_as, new.known_until
        before, old.identity, old.credential = old.identity, new.identity, new.credential
        assert before is not None  # it has been let in
        assert old.identity is not None
        server.access.left(new)
        server.access.expect(old, old.identity)
        new.closed = True
        server._statistics.forget(new)
        del server.connections[new.number]
        server.dirty.pop(new, None)
        self.moved(new, old)
        old._touch()
        if old.identity.groups != before.groups:
            server.rights.reconsider()

    def part(self, connection: Connection) -> None:
        """The link of a connection is lost, or is to be: it is away."""
        server, session = self._server, connection.resumes
        assert session is not None  # else it goes with its link
        if connection in self._away:
            return
        server.vanished += connection.vanished
        self._leave_link(connection)
        session.part()
        connection.weigh(0)
        self._away[connection] = server.now + server.limits.session_s
        if len(self._away) > server.limits.max_connections:
            self.shed()

    def _leave_link(self, connection: Connection) -> None:
        self._server._rounds.leave(connection)
        connection.rest()
        self._due.pop(connection, None)
        self.moved(connection, None)

    def left(self, connection: Connection) -> None:
        """It has ended."""
        self._due.pop(connection, None)
        self._reliable.pop(connection, None)
        if self._away.pop(connection, None) is not None:
            self._server._statistics.forget(connection)
            del self._server.connections[connection.number]

    def shed(self) -> bool:
        """Give up the one that has been away the longest; false if nobody is."""
        connection = next((away for away in self._away if not away.closed), None)
        if connection is None:
            return False
        for token in self._tokens[connection]:
            self._given_up[token] = None
        while len(self._given_up) > _REMEMBERED:
            del self._given_up[next(iter(self._given_up))]
        self._give_up(connection)
        return True

    def give_way(self, connection: Connection) -> None:
        """Somebody else wants what one has that is away."""
        self._give_up(connection)
        self._server.settle()

    def _give_up(self, connection: Connection) -> None:
        """It is as if it never came back."""
        connection.returns = False
        connection.error = ConnectionLost("its client has not come back")
        connection.receive_eof()

    # Time

    @property
    def due(self) -> float | None:
        """When `handle_timeout` has something to do."""
        first = next(iter(self._away.values()), None)
        ack = next(iter(self._due.values()), None)
        return min(first, ack) if first is not None and ack is not None else first if ack is None else ack

    def owes(self, connection: Connection, session: Session) -> None:
        """Something has come from it that is to be acknowledged, now or later."""
        due = session.next_deadline()
        if due is None:
            self._due.pop(connection, None)
        elif connection not in self._due:
            self._due[connection] = due

    def handle_timeout(self, now: float) -> None:
        """Time has passed: what has come is acknowledged, and who has been away for too long has left."""
        while self._due and (first := next(iter(self._due.items())))[1] <= now:
            del self._due[first[0]]
            first[0].acknowledge(now)
        for connection, until in list(self._away.items()):
            if until > now:
                break
            self._give_up(connection)


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _nowhere(link: Connection, to: Connection | None) -> None:
    """For a server without links."""
