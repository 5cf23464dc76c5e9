"""What a router does, in the simplest form that one can write down: no plans, no index, no locks, no threads, no bytes.

A program is a list of acts; listeners may hold acts too, to be performed from inside. `Model` performs them on lists
and loops, `Driven` on a real router, and both note in a `log` what listeners hear and acts answer. In one process the
two logs are equal, entry by entry. Over links the router in one process is the oracle, listener by listener.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sig
from sig.names import is_pattern, matches

# -- acts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddSender:
    """Every sender answers `echo`, `fail`, `relay` (a list of senders to ask one after the other) and `tell` (an event
    of its own to trigger), unless it is mute."""

    sender: str
    events: tuple[str, ...]
    retain: tuple[str, ...] = ()
    mute: bool = False


@dataclass(frozen=True)
class RemoveSender:
    sender: str


@dataclass(frozen=True)
class Trigger:
    sender: str
    event: str
    data: int


@dataclass(frozen=True)
class Request:
    sender: str
    method: str
    params: Any


@dataclass(frozen=True)
class Listen:
    """At its n-th call the listener performs `acts[n]`; `raises` says whether it raises then, each time."""

    sender: str | None
    event: str | None
    once: bool = False
    group: str | None = None
    meta: bool = False
    initial: bool = False
    queue: int | None = None
    when_full: str = "drop_oldest"
    raises: bool = False
    acts: tuple[Act, ...] = ()

    def options(self) -> dict[str, Any]:
        given = {"once": self.once, "group": self.group, "meta": self.meta, "initial": self.initial}
        if self.queue is not None:
            given |= {"queue": self.queue, "when_full": self.when_full, "max_wait": 0, "on_gap": lambda info, gap: None}
        return given


@dataclass(frozen=True)
class Close:
    """Close the listener that registered as the n-th, if there is one."""

    listener: int


@dataclass(frozen=True)
class Drain:
    """Let those with a queue take what they have."""


Act = AddSender | RemoveSender | Trigger | Request | Listen | Close | Drain


@dataclass(frozen=True)
class Heard:
    """What a listener is told. Of presence the data is what the sender offers, and why it left."""

    sender: str
    event: str
    data: object
    initial: bool = False
    seq: int | None = None


class World:
    """Performs acts and notes what happens."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []

    def perform(self, act: Act) -> object:
        """What the act answers, or the class of what it raises."""
        try:
            return getattr(self, f"_{type(act).__name__}")(act)
        except (sig.SigError, ValueError) as error:
            return type(error)

    def play(self, key: int, listen: Listen, heard: Heard, call: int) -> None:
        """What every listener does when it is called."""
        self.log.append(("heard", key, heard))
        if call < len(listen.acts):
            self.log.append(("done", key, listen.acts[call], self.perform(listen.acts[call])))
        if listen.raises:
            raise ValueError(key)

    def answer(self, sender: str, method: str, params: Any) -> object:
        """What every sender answers."""
        self.log.append(("asked", sender, method, params))
        if method == "fail":
            raise ValueError(params)
        if method == "relay" and params:
            return self.ask(params[0], "relay", params[1:])
        if method == "tell":
            return self.perform(Trigger(sender, *params))
        return [sender, params]

    def ask(self, sender: str, method: str, params: object) -> object:
        raise NotImplementedError


METHODS = ("echo", "fail", "relay", "tell")


# -- a real router -------------------------------------------------------------------------------


class Driven(World):
    """The acts, performed on a router. Those with a queue run when told to."""

    def __init__(self, router: sig.Router) -> None:
        super().__init__()
        self.router = router
        self.senders: dict[str, sig.Sender] = {}
        self.subscriptions: list[sig.Subscription | None] = []
        self.desk: list[Callable[[], object]] = []
        router.on_error = lambda failure: self.log.append(("failed", failure.error.args[0]))

    def ask(self, sender: str, method: str, params: object) -> object:
        return self.router.request(sender, method, params)

    def _AddSender(self, act: AddSender) -> None:
        requests = None if act.mute else {method: self._handler(act.sender, method) for method in METHODS}
        # Noted before it is returned: its listeners may act on it while its presence is told.
        note = self.router.listen(
            lambda info, data: self.senders.update({act.sender: known(self.router, act.sender)}), act.sender, "#connect"
        )
        with note:
            self.senders[act.sender] = self.router.add_sender(act.sender, act.events, requests, retain=act.retain)

    def _handler(self, sender: str, method: str) -> Callable[[object], object]:
        return lambda params: self.answer(sender, method, params)

    def _RemoveSender(self, act: RemoveSender) -> bool:
        return self.router.remove_sender(act.sender)

    def _Trigger(self, act: Trigger) -> None:
        self.senders[act.sender].trigger(act.event, act.data)
    ...
