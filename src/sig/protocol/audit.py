"""What happens at the door of a server, for whoever watches it: the event `#audit` of `server`. Sans-I/O.

It is heard by the server's own router, and by those whom a policy grants it by name. Who does not keep up misses some:
what an attacker causes must not fill anybody's link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sig.constants import EVENT_AUDIT
from sig.messages import Presence, encode_control
from sig.protocol.frames import Kind, pack

if TYPE_CHECKING:
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
        found = dict.fromkeys(s.connection for s in matching if s.line is None)
        if not found:
            return
        message = Presence(AUDIT_SENDER, self._epoch, EVENT_AUDIT, {"what": what, **more}, server.time_us())
        body = encode_control(message)
        frame = pack(Kind.PRESENCE, body)
        for connection in found:
            # Without a policy nobody has been granted anything.
            granted = connection.trusted or server.access.policy is not None
            allowed = granted and server.allowed(connection.identity, "listen", AUDIT_SENDER, EVENT_AUDIT)
            if allowed and connection.has_room_for(body):
                connection.put(frame)
