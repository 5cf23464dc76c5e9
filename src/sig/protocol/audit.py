"""What happens at the door of a server, for whoever watches it: the event `#audit` of `server`. Sans-I/O.

It is heard by the server's own router, and by those whom a policy grants it by name. Who does not keep up misses some:
what an attacker causes must not fill anybody's link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sig.constants import EVENT_AUDIT
from sig.messages import Presence, encode_control
from sig.protocol.frames import Kind, pack

if TYPE_CHECKING:
    from sig.protocol.connection import Connection
    from sig.protocol.line import Line
    from sig.protocol.server import ServerCore

# Whose event it is; no such sender need be there.
AUDIT_SENDER: Final = "server"


class Audit:
    """Called with what has happened, and what to say of it."""

    def __init__(self, server: ServerCore, epoch: int) -> None:
        self._server = server
        self._epoch = epoch

    def __call__(self, what: str, more: dict[str, object]) -> None:
        server = self._server
        matching = server.listening.index.matching(AUDIT_SENDER, EVENT_AUDIT)
        if not matching:
            return
        message = Presence(AUDIT_SENDER, self._epoch, EVENT_AUDIT, {"what": what, **more}, server.time_us())
        body = encode_control(message)
        for connection in dict.fromkeys(s.connection for s in matching if s.line is None):
            self._tell(connection, body)
        told: dict[Line, None] = {}
        for each in matching:
            line, member = each.line, each.member
            if line is None or member is None or line in told or not member.ready:
                continue
            # One of each group, the first that keeps up: nothing waits for the others.
            if self._tell(each.connection, encode_control(replace(message, listener=member.id))):
                told[line] = None

    def _tell(self, connection: Connection, body: bytes) -> bool:
        """Whether it was told: it may hear that, and has room for it."""
        access = self._server.access
        # Without a policy nobody has been granted anything.
        granted = connection.trusted or access.policy is not None
        if not granted or not self._server.allowed(connection.identity, "listen", AUDIT_SENDER, EVENT_AUDIT):
            return False
        if not connection.has_room_for(body):
            return False
        connection.put(pack(Kind.PRESENCE, body))
        return True
