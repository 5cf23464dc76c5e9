"""What those may do who look after a server: see who is there, and send somebody away. Sans-I/O."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from sig.errors import Denied
from sig.messages import Clients, Kick
from sig.protocol.connection import Connection
from sig.security.identity import INSIDE

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore


class Admin:
    """Answers `Clients` and `Kick`."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server

    def clients(self, connection: Connection, call: Clients, number: int) -> object:
        self._check(connection, "see who is connected")
        return [
            {
                "client": other.number,
                "name": other.name,
                "address": other.address,
                "identity": identity.name,
                "source": identity.source,
                "groups": list(identity.groups),
                "expires": identity.expires if isfinite(identity.expires) else None,
                "senders": list(other.held),
                "subscriptions": len(other.subscriptions),
            }
            for other in self._server.connections.values()
            if other.opened and not other.closed and (identity := other.identity) is not None and identity is not INSIDE
        ]

    def kick(self, connection: Connection, call: Kick, number: int) -> object:
        """End the links of one client, or of all that are of one identity; how many these were."""
        self._check(connection, "send clients away")
        found = [
            other
            for other in self._server.connections.values()
            if other.opened and not (other.closed or other.trusted) and _is_meant(other, call)
        ]
        why = f": {call.reason}" if call.reason else ""
        for other in found:
            name = other.identity.name if other.identity is not None else ""
            self._server.access.note("kicked", identity=name, address=other.address, reason=call.reason)
            other.remove(f"you have been sent away{why}")
        return len(found)

    def _check(self, connection: Connection, what: str) -> None:
        decision = self._server.access.decide(connection.identity, "admin", "", "")
        if not decision.allowed:
            self._server.access.denied(connection, "admin", "", "", decision)
            raise Denied(f"you may not {what}: {decision.reason}")


def _is_meant(connection: Connection, call: Kick) -> bool:
    if call.client is not None:
        return connection.number == call.client
    return connection.identity is not None and connection.identity.name == call.identity
