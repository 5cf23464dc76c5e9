"""Senders that share a name: whoever is asked least of them is asked next.

Sans-I/O: no socket, no thread, no clock. Their requests have a route of their own, the *pool*; what comes on it goes
on on the route of one of them, and its answer comes back on the pool's.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sig.errors import ConnectionLost, SenderNotConnected
from sig.messages import RouteGone, encode_control
from sig.protocol.asking import read_error
from sig.protocol.bodies import REPLY_BYTES
from sig.protocol.connection import Connection
from sig.protocol.frames import Kind, pack
from sig.protocol.held import Held

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

_U32: Final = struct.Struct("<I")
_ROUTE_AT: Final = 8  # in a header
_ROUTE_END: Final = 12


class Pool:
    """Those who share one name, and what they are asked by it."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.members: dict[Held, int] = {}
        """How many requests each is answering."""
        self.known_by: dict[Connection, None] = {}
        # Who answers what, by who asks and his number for it.
        self._asked: dict[Connection, dict[int, Held]] = {}

    def choose(self) -> Held:
        """Who is to be asked next; there is one."""
        return min(self.members, key=self._load)

    def _load(self, held: Held) -> tuple[bool, int]:
        """Who is away for the moment would answer late."""
        return held.owner.parted, self.members[held]

    def begin(self, requester: Connection, corr: int, held: Held) -> None:
        """It has been asked."""
        self._asked.setdefault(requester, {})[corr] = held
        self.members[held] += 1

    def find(self, requester: Connection, corr: int) -> Held | None:
        """Who answers that."""
        return self._asked.get(requester, {}).get(corr)

    def end(self, requester: Connection, corr: int) -> None:
        """It has been answered, or nobody waits for that any more."""
        asked = self._asked.get(requester, {})
        held = asked.pop(corr, None)
        if held is not None and not asked:
            del self._asked[requester]
        if held in self.members:
            self.members[held] -= 1

    def forget(self, requester: Connection) -> None:
        """Somebody has gone who may have asked."""
        self.known_by.pop(requester, None)
        for corr in list(self._asked.get(requester, ())):
            self.end(requester, corr)

    def leave(self, held: Held) -> list[tuple[Connection, int]]:
        """One goes; returns who asked it something that it has not answered."""
        del self.members[held]
        orphans = [(who, corr) for who, asked in self._asked.items() for corr, other in asked.items() if other is held]
        for who, corr in orphans:
            self.end(who, corr)
        return orphans


class Replicas:
    """All names of one server that are shared."""

    def __init__(self, server: ServerCore) -> None:
        self.pools: dict[int, Pool] = {}
        """By the numbers of their routes."""
        self._server = server
        self._names: dict[str, Pool] = {}

    def __contains__(self, number: int) -> bool:
        """Whether that is the number of a pool."""
        return number in self.pools

    def of(self, name: str) -> list[Held]:
        """Who shares that name, in order."""
        pool = self._names.get(name)
        return [] if pool is None else list(pool.members)

    def pool_of(self, held: Held) -> Pool | None:
        """Where it is asked by its name, if it shares that."""
        return self._names.get(held.name) if held.shared else None

    def join(self, held: Held) -> None:
        """One more shares its name."""
        pool = self._names.get(held.name)
        if pool is None:
            pool = self._names[held.name] = Pool(self._server.number())
            self.pools[pool.number] = pool
        pool.members[held] = 0

    def leave(self, held: Held, reason: str) -> None:
        """It does no more. Who waits for an answer of it is told; nobody is asked twice."""
        pool = self._names[held.name]
        error = ConnectionLost(
            f"{_one_of(held.name)} has left before it answered; whether the request was carried out is unknown"
        )
        for requester, corr in pool.leave(held):
            self._server.requests.refuse(requester, corr, pool.number, error)
        if pool.members:
            return
        del self._names[held.name], self.pools[pool.number]
        gone = pack(Kind.ROUTE_GONE, encode_control(RouteGone(reason)), route=pool.number)
        for connection in pool.known_by:
            connection.put(gone)

    def left(self, pool: Pool, held: Held, data: bytes) -> ConnectionLost | None:
        """What to say instead of this error, if one of several says that it has left: others have the name.

        That may overtake what tells the server.
        """
        if len(pool.members) == 1:
            return None
        error = read_error(data[REPLY_BYTES:], self._server.limits.max_control_frame_bytes)
        if isinstance(error, SenderNotConnected) and error.sender == held.name:
            return ConnectionLost(f"{_one_of(held.name)} had left already: ask again")
        return None

    def open(self, connection: Connection, held: Held) -> int:
        """Tell a client on which route it asks those who share that name: in its own codec, which not all may have."""
        pool = self._names[held.name]
        if connection not in pool.known_by:
            pool.known_by[connection] = None
            told = self._server.describe(connection, held.requests_route)
            told = replace(told, codec=connection.codec.name, incarnation=0, owner=False, replica=False)
            connection.put(pack(Kind.ROUTE, encode_control(told), route=pool.number))
        return pool.number

    def forget(self, connection: Connection) -> None:
        """A client has gone."""
        for pool in self.pools.values():
            pool.forget(connection)


def _one_of(name: str) -> str:
    """Who was asked, for a sentence."""
    return f"the one of those who share the name {name!r} that was asked"


def on_route(data: bytes, number: int) -> bytes:
    """The frame on another route."""
    return b"".join((data[:_ROUTE_AT], _U32.pack(number), data[_ROUTE_END:]))
