"""What a server knows of listeners: what each wants, who hears a route, and who waits to be heard of.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sig.codecs import Codec
from sig.names import matches
from sig.protocol.backlog import Backlog, Backlogs
from sig.protocol.frames import HEADER

if TYPE_CHECKING:
    from sig.protocol.connection import Connection
    from sig.protocol.held import Route
    from sig.protocol.lanes import Lines
    from sig.protocol.line import Line, Member


_LARGEST: Final = 0xFFFF_FFFF  # a length that no frame exceeds


class Audience:
    """Who hears a route: the same object for all routes that the same connections hear, and one codec is sent on.

    `direct` are those that take frames as they come, `bridged` the others, by the codec that each of them needs.
    `lines` give each event to one listener alone, see `lanes`. Of `direct`, those in `prompt` are given each event, and
    the late ones follow `backlog`.
    """

    __slots__ = (
        "__weakref__",
        "backlog",
        "bridged",
        "connections",
        "direct",
        "heard",
        "largest",
        "lines",
        "prompt",
    )

    def __init__(self, connections: tuple[Connection, ...], codec: Codec, lines: Lines = ()) -> None:
        self.lines: Lines = lines
        self.heard: bool = bool(connections or lines)
        self.connections: tuple[Connection, ...] = connections
        self.direct: tuple[Connection, ...] = tuple(c for c in connections if codec.name in c.codecs)
        bridged: dict[Codec, list[Connection]] = {}
        for connection in connections:
            if codec.name not in connection.codecs:
                bridged.setdefault(connection.codec, []).append(connection)
        self.bridged: dict[Codec, tuple[Connection, ...]] = {need: tuple(some) for need, some in bridged.items()}
        # The largest frame that each of `direct` takes, its header included.
        self.largest: int = HEADER.size + min((c.max_frame_bytes for c in self.direct), default=_LARGEST)
        self.prompt: dict[Connection, None] = dict.fromkeys(self.direct)
        self.backlog: Backlog[Connection] | None = None

    def part(self, late: Sequence[Connection], common: Backlogs) -> None:
        """These are late: what comes from here on they are not given, but find in the backlog."""
        if self.backlog is None:
            self.backlog = Backlog(common, self.prompt)
        for connection in late:
            connection.behind[self.backlog] = self.backlog.join(connection)


class Waiting:
    """A `Listen` whose answer waits until the owners of the events know that somebody listens."""

    __slots__ = ("call", "connection", "deadline", "id", "routes", "subscription")

    def __init__(self, subscription: LinkSubscription, number: int, call: int, deadline: float) -> None:
        self.subscription: LinkSubscription = subscription
        self.id: int = number
        self.connection: Connection = subscription.connection
        self.call: int = call
        self.deadline: float = deadline
        self.routes: dict[Route, None] = {}  # whose owners have not said so yet


class LinkSubscription:
    """What a connection listens to, under the number it chose."""

    __slots__ = ("again", "connection", "event", "firsts", "initial", "line", "member", "sender", "serial", "when")

    def __init__(
        self,
        connection: Connection,
        sender: str | None,
        event: str | None,
        serial: int,
        initial: bool = False,
        when: bool = False,
        again: bool = False,
    ) -> None:
        self.connection: Connection = connection
        self.sender: str | None = sender
        self.event: str | None = event
        self.serial: int = serial
        self.initial: bool = initial
        # Of one that is given events by itself, see `lanes`.
        self.line: Line | None = None
        self.member: Member | None = None
        # Of one for whom senders wait: which was the first event of each route that it was given, or was to be given
        # when its link was lost. It has no line while that is away.
        self.firsts: dict[Route, int] | None = None
        self.when: bool = when
        self.again: bool = again

    def hears(self, route: Route) -> bool:
        """Whether it is for this one, if that has the right."""
        return matches(self.sender, route.sender) and matches(self.event, route.event)
