"""The requests that are under way through a server: what a client may not ask any more is answered no more.

Sans-I/O: no socket, no thread, no clock. What each client waits for is kept with it, in `Connection.unanswered`, by its
own number for it. Routes stand there by their numbers, so that it keeps nobody who has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from sig.errors import Overloaded
from sig.protocol.bodies import Cancel, pack_cancel

if TYPE_CHECKING:
    from sig.protocol.connection import Connection
    from sig.protocol.server import ServerCore

# The route of who was asked, what, and the route on which: another, where several share a name.
Asked: TypeAlias = tuple[int, str, int]

# A client keeps to its own `requests_out`, which may be larger than the server's; beyond this it keeps to nothing.
TIMES: Final = 16


class Questions:
    """Of all clients of one server."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self.most: int = TIMES * server.limits.requests_out
        """That one client may wait for."""

    def make_room(self, requester: Connection) -> None:
        """It waits for so many: forget what nobody can answer. Raises what to tell it where that is too little."""
        routes, unanswered = self._server._routes, requester.unanswered
        for corr in [corr for corr, asked in unanswered.items() if asked[0] not in routes]:
            del unanswered[corr]
        if len(unanswered) >= self.most:
            raise Overloaded(f"{self.most} requests of this client wait for their answers: wait for some of them")

    def govern(self) -> None:
        """Rights have changed: who has asked what it may not any more is told so, and who was asked need not go on."""
        server = self._server
        for requester in server.connections.values():
            for corr, asked in list(requester.unanswered.items()):
                number, method, shown = asked
                route = server._routes.get(number)
                if route is not None and not server.allowed(requester.identity, "request", route.sender, method):
                    self.give_up(requester, corr, asked)
                    server._refuse_request(requester, corr, shown, server.rights.refusal(requester, route, method))

    def give_up(self, requester: Connection, corr: int, asked: Asked) -> None:
        """Nobody waits for that any more: let who was asked know, if it can still be reached."""
        server, (number, _, shown) = self._server, asked
        del requester.unanswered[corr]
        requester.streams.pop(corr, None)
        if shown in server.replicas:
            server.replicas.pools[shown].end(requester, corr)
        route = server._routes.get(number)
        if route is not None and route.held.owner.closed:
            server.absences.cancel(requester, route, corr)
        elif route is not None:
            # Where it does not get through, the handler works for nothing; its answer finds nobody.
            route.held.owner.put_asked(pack_cancel(Cancel(requester.number, corr), route=number))
