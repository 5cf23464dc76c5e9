"""What a listener is told beside the data, and the small records the router hands out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Info(Mapping[str, object]):
    """Who triggered what: a read-only view of a signal's `event_info`.

    One `Info` is shared by all events of a signal. `seq`, `time` and `incarnation` are filled only
    for listeners registered with `meta=True`, which get an `Info` of their own for each event.
    """

    __slots__ = ("_event_info", "incarnation", "initial", "seq", "time")

    def __init__(
        self,
        event_info: Mapping[str, object],
        *,
        seq: int | None = None,
        time: float | None = None,
        incarnation: int | None = None,
        initial: bool = False,
    ) -> None:
        self._event_info = event_info
        self.seq: int | None = seq
        """Number of the event in its sender's life, from 1."""
        self.time: float | None = time
        """When the router accepted it: seconds since the epoch, by the router's clock."""
        self.incarnation: int | None = incarnation
        """Which life of the sender this is: a random 64-bit number, new at each registration."""
        self.initial: bool = initial
        """True for what `initial=True` tells of the time before the listener registered."""

    @property
    def sender(self) -> str:
        """Name of the sender that triggered the event."""
        return str(self._event_info["sender"])

    @property
    def event(self) -> str:
        """Name of the event."""
        return str(self._event_info["event"])

    def __getitem__(self, key: str) -> object:
        return self._event_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._event_info)

    def __len__(self) -> int:
        return len(self._event_info)

    def __repr__(self) -> str:
        return f"Info({dict(self._event_info)!r})"


def info_of(sender: str, event: str, **meta: object) -> Info:
    """An `Info` for an event that no signal of this process triggered."""
    return Info({"sender": sender, "event": event}, **meta)  # type: ignore[arg-type]  # keywords of Info, checked there


class Received(NamedTuple):
    """One event as a listener sees it."""

    info: Info
    data: object


class ClientInfo(NamedTuple):
    """One of the links of a server, in the list of `clients()`."""

    client: int
    """Its number, for `kick`."""
    name: str
    """What it calls itself; proves nothing."""
    address: str
    identity: str
    """Who it is, as a policy calls it."""
    source: str
    """How that was proved: `none`, `token`, `password`, `carrier` or `own`."""
    groups: list[str]
    expires: float | None
    """When it ends, in seconds since 1970; `None`: it does not."""
    senders: list[str]
    subscriptions: int


class Gap(NamedTuple):
    """Events that a listener did not get: told in the place where they would have come."""

    missed: int | None
    """How many; `None` where that cannot be known, never 0."""
    reason: str
    """`slow`, `lost_link`, `server_restart`, `codec`, `undecodable` or `too_big`."""


class ListenerError(NamedTuple):
    """What `router.on_error` is given when a listener raises."""

    error: BaseException
    listener: object
    info: Info


class Reply(NamedTuple):
    """What one sender answered to `router.request_all(...)`."""

    sender: str
    instance: int
    """The incarnation of the sender that was asked."""
    value: object = None
    error: BaseException | None = None
    """Why there is no value: what `request` would have raised."""


class SenderInfo(NamedTuple):
    """One row of `router.senders()`."""

    name: str
    events: list[str]
    requests: list[str | None] | None
    """Methods; `None` in the list stands for a default handler, `None` instead of it for no requests at all."""
    since: float
    """When it registered: seconds since the epoch, by the router's clock."""
    address: str
    """Where it lives: `local`, or the address of its client as the server sees it."""
    instance: int
    """Its incarnation: a random 64-bit number, new at each registration."""
    schema: dict[str, Any] | None = None
    """JSON Schema of what has types: `events` by name, `requests` by method, each with its `params` and `result`."""
