"""What a server knows of a sender: who holds its name, and a route for each of its events.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from sig.constants import NAME_MAX_BYTES
from sig.messages import NO_SCHEMA, AddSender, Schema, encode_control

if TYPE_CHECKING:
    from sig.protocol.connection import Connection
    from sig.protocol.heard import Audience, Waiting


class Held:
    """A name that a connection holds."""

    __slots__ = (
        "absence",
        "declared",
        "events",
        "incarnation",
        "lost",
        "name",
        "owner",
        "requests",
        "requests_route",
        "routes",
        "schema",
        "shared",
        "since_us",
    )

    def __init__(self, name: str, owner: Connection, call: AddSender, incarnation: int, since_us: int) -> None:
        self.name: str = name
        self.owner: Connection = owner
        self.events: list[str] = list(dict.fromkeys(call.events))
        self.requests: list[str | None] | None = None if call.requests is None else list(dict.fromkeys(call.requests))
        self.schema: Schema | None = call.schema
        self.incarnation: int = incarnation
        self.shared: bool = call.shared  # whether others may have its name too
        self.since_us: int = since_us
        # Of which absence of its client listeners were told last that events never came, and of how many.
        self.absence: int = 0
        self.lost: dict[str, int | None] = {}
        self.routes: list[Route] = []
        self.requests_route: Route
        self.declared: int = len(self.events) + len(self.requests or ())
        """How many events and requests it has; its schema counts as names of the same length would."""
        if self.schema is not None:
            self.declared += len(encode_control(self.schema)) // NAME_MAX_BYTES

    def presence(self) -> dict[str, object]:
        told: dict[str, object] = {"events": self.events, "requests": self.requests}
        if self.schema is not None:
            told["schema"] = {"events": self.schema.events, "requests": self.schema.requests}
        return told

    def schema_of(self, event: str) -> Raw:
        """The schema of an event, or of the requests (`""`); `NO_SCHEMA` where there is none."""
        if self.schema is None:
            return NO_SCHEMA
        if event:
            return self.schema.events.get(event, NO_SCHEMA)
        return Raw(encode_control(self.schema.requests)) if self.schema.requests else NO_SCHEMA


class Route:
    """One event of a sender, or its requests: a number that all connections share."""

    __slots__ = (
        "asked_seq",
        "audience",
        "denied",
        "early",
        "event",
        "grouped",
        "held",
        "id",
        "known_by",
        "next_seq",
        "retains",
        "unheard",
        "unseen",
        "unsure_seq",
        "waiting",
    )

    def __init__(self, number: int, held: Held, event: str) -> None:
        self.id: int = number
        self.held: Held = held
        self.event: str = event  # "" for the sender's requests: no event has that name
        self.next_seq: int = 1
        self.unsure_seq: int = 0  # what it was when nobody knew, the last time, how many events had been lost
        self.denied: bool = False  # its owner may not trigger it: what comes is not passed on
        self.retains: bool = False  # whether its last value is kept
        # Who has been told of it, and whether they have been sent every event since: then their count is right.
        self.known_by: dict[Connection, bool] = {}
        # Who hears it; `None` when somebody has come or gone since.
        self.audience: Audience | None = None
        self.grouped: bool = False  # whether the owner has been told that its batches are shared out
        # Whether the owner has been told to send nothing, since nobody listens; how often it has been told to go on
        # without having said that it knows, and who waits for that.
        self.unheard: bool = False
        self.unseen: int = 0
        self.waiting: dict[Waiting, None] = {}
        # Whether one of them was told that it listens before the owner had said so: it may miss something.
        self.early: bool = False
        # The number of the next event when the owner was told to go on: who is back has heard what has come since.
        self.asked_seq: int = 0

    @property
    def sender(self) -> str:
        return self.held.name
