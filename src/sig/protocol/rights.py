"""What follows from a policy: who is refused what, in which words, and what changes when another policy holds.

Sans-I/O: no socket, no thread, no clock. Whether something is allowed is asked in one place, `ServerCore.allowed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sig.errors import Denied, SenderNotConnected, SigError
from sig.messages import Interest, encode_control
from sig.protocol.connection import Connection
from sig.protocol.frames import Kind, pack
from sig.protocol.held import Route
from sig.protocol.withdrawal import withdraw
from sig.security.credentials import Credential
from sig.security.policy import Decision, Policy

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# What clients are refused, in words.
_WHAT: Final = {"listen": "listen to", "request": "ask"}


class Rights:
    """Of the clients of one server."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server

    def check(self, connection: Connection, action: str, sender: str, name: str, what: str) -> None:
        """Raise `Denied`, with the rule that says so, unless the client may do that: "you may not `what` sender"."""
        access = self._server.access
        if access.policy is not None:
            self._raise(
                connection, action, sender, name, what, access.decide(connection.identity, action, sender, name)
            )

    def check_possible(
        self, connection: Connection, action: str, sender: str | None, name: str | None, what: str = ""
    ) -> None:
        """Raise `Denied` where there is no name at all that matches, with which the client may do that."""
        access = self._server.access
        if access.policy is None:
            return
        if not what:
            what = _WHAT[action] if name is None else f"{_WHAT[action]} event {name!r}" + " of" * (sender is not None)
            what += " anything" * (sender is None and name is None)
        decision = access.possible(connection.identity, action, sender, name)
        self._raise(connection, action, sender or "", name or "", what, decision)

    def refusal(self, connection: Connection, route: Route, method: str) -> SigError:
        """What to tell somebody who asks for what it may not."""
        pool = self._server.replicas.pool_of(route.held)
        if route not in connection.known and (pool is None or connection not in pool.known_by):
            return SenderNotConnected("")  # it made the number up, and is not told whose it is
        decision = self._server.access.decide(connection.identity, "request", route.sender, method)
        self._server.access.denied(connection, "request", route.sender, method, decision)
        return Denied(f"you may not ask for {method!r} of sender {route.sender!r}: {decision.reason}")

    def _raise(
        self, connection: Connection, action: str, sender: str, name: str, what: str, decision: Decision
    ) -> None:
        if not decision.allowed:
            self._server.access.denied(connection, action, sender, name, decision)
            of = f" sender {sender!r}" if sender else ""
            raise Denied(f"you may not {what}{of}: {decision.reason}")

    def govern(self, policy: Policy | None, credentials: Mapping[str, Credential] | None) -> None:
        """From here on these hold, also for who is in: whoever has lost a right loses what came of it."""
        server, access = self._server, self._server.access
        server.forwarder.seal()  # what has come before it is for those who might hear it then
        access.policy, access.credentials = policy, credentials
        access.note("reloaded", rules=0 if policy is None else len(policy.rules))
        for connection in server.connections.values():
            if not connection.opened or connection.closed or connection.trusted:
                continue
            identity = access.current(connection)
            if identity is None:
                connection.remove("the token or password that you logged in with holds no more")
                continue
            connection.identity = identity
            access.expect(connection, identity)
        self.reconsider()

    def reconsider(self) -> None:
        """Rights are others than they were: what came of those that are lost ends."""
        server = self._server
        server.forwarder.seal()
        for connection in server.connections.values():
            connection.may_ask.clear()
            connection.catch_up()
            if connection.outbox.events:
                withdraw(server, connection)
        server.settle()
        for held in list(server.registry.senders()):
            if not server.allowed(held.owner.identity, "own", held.name, ""):
                server.registry.release(held, "kicked")
                continue
            for route in held.routes:
                server.listening.changed(route)
                self.tell(route)
                # An owner that was told that nobody hears it says nothing, and there is no new listener to wake it.
                if route.unheard and self._heard(route):
                    server.listening.tell_interest(route, "some")
        server.shares.reconsider()
        server.requests.govern()
        server.settle()

    def _heard(self, route: Route) -> bool:
        return bool(self._server.listening.hearing(route) or self._server.shares.lines(route.sender, route.event))

    def tell(self, route: Route) -> None:
        """Let an owner know whether it may trigger this event, if that is not what it takes for granted."""
        decision = self._server.access.decide(route.held.owner.identity, "trigger", route.sender, route.event)
        if route.denied is not decision.allowed:
            return
        route.denied = not decision.allowed
        if route.denied:
            route.unheard = False
            interest = Interest("denied", decision.reason)
            route.held.owner.put(pack(Kind.INTEREST, encode_control(interest), route=route.id))
        else:
            self._server.listening.tell_interest(route, "some")
