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
        self.subscriptions: dict[int, sig.Subscription] = {}
        self.ears: list[Ear] = []
        self.desk: list[Callable[[], object]] = []
        router.on_error = lambda failure: self.log.append(("failed", failure.error.args[0]))

    def ask(self, sender: str, method: str, params: object) -> object:
        return self.router.request(sender, method, params)

    def end(self) -> None:
        """Close the router."""
        self.router.close(timeout=0)

    def counts(self) -> list[tuple[int, ...]]:
        """Of each listener with a queue: what it got, missed, and has before it."""
        return [
            (key, subscription.received or 0, subscription.missed, subscription.pending)
            for key, subscription in sorted(self.subscriptions.items())
            if self.ears[key].listen.queue is not None
        ]

    def _AddSender(self, act: AddSender) -> None:
        requests = None if act.mute else {method: self._handler(act.sender, method) for method in METHODS}
        self.router.add_sender(act.sender, act.events, requests, retain=act.retain)

    def _handler(self, sender: str, method: str) -> Callable[[object], object]:
        return lambda params: self.answer(sender, method, params)

    def _RemoveSender(self, act: RemoveSender) -> bool:
        return self.router.remove_sender(act.sender)

    def _Trigger(self, act: Trigger) -> None:
        held = self.router.get_sender(act.sender)
        if held is not None and held.connected:
            held.trigger(act.event, act.data)

    def _Request(self, act: Request) -> object:
        return self.ask(act.sender, act.method, act.params)

    def _Listen(self, act: Listen) -> None:
        ear = Ear(self, len(self.ears), act)
        self.ears.append(ear)
        options = act.options()
        if act.queue is not None:
            options["executor"] = self.desk.append
        # Its calls may close it before `listen` has returned, with `initial`: then by what it registered as.
        self.subscriptions[ear.key] = self.router.listen(ear, act.sender, act.event, **options)

    def _Close(self, act: Close) -> None:
        if act.listener < len(self.ears):
            ear = self.ears[act.listener]
            if act.listener in self.subscriptions:
                self.subscriptions[act.listener].close()
            else:
                self.router.remove_listener(ear, ear.listen.sender, ear.listen.event)

    def _Drain(self, act: Drain) -> None:
        while self.desk:
            self.desk.pop(0)()


class Ear:
    """A listener on a real router."""

    def __init__(self, world: Driven, key: int, listen: Listen) -> None:
        self.world, self.key, self.listen = world, key, listen
        self.calls = 0

    def __call__(self, info: sig.Info, data: Any) -> None:
        self.calls += 1
        value = tuple(map(_frozen, data.values())) if sig.is_builtin_event(info.event) else data
        heard = Heard(info.sender, info.event, value, info.initial, info.seq)
        self.world.play(self.key, self.listen, heard, self.calls - 1)


def _frozen(value: Any) -> object:
    return tuple(value) if isinstance(value, list) else value


# -- the model -----------------------------------------------------------------------------------


@dataclass(eq=False)
class Life:
    """A sender, from its coming to its leaving."""

    act: AddSender
    numbers: dict[str, int] = field(default_factory=dict)
    last: dict[str, Heard] = field(default_factory=dict)


@dataclass(eq=False)
class Member:
    """A listener of the model."""

    key: int
    listen: Listen
    calls: int = 0
    closed: bool = False
    used_up: bool = False  # `once`
    gate: list[Heard] | None = None  # what came while the past was told
    box: list[Heard] | None = None  # its queue; None without one
    armed: bool = False
    shut: bool = False  # the queue
    received: int = 0
    missed: int = 0

    @property
    def load(self) -> float:
        return len(self.box) / (self.listen.queue or 1) if self.box is not None else 0.0


Turn = list[int]
Group = tuple[list[Member], Turn]


class Model(World):
    """The acts, performed on lists."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[Member] = []
        self.lives: dict[str, Life] = {}
        self.rounds: dict[str, list[Callable[[], object]]] = {}
        self.turns: dict[str, Turn] = {}
        self.desk: list[Member] = []
        self.hops = 0
        self.closing = self.over = False

    def counts(self) -> list[tuple[int, ...]]:
        return [(m.key, m.received, m.missed, len(m.box)) for m in self.members if m.box is not None]

    def end(self) -> None:
        self.closing = True
        for name in list(self.lives):
            self._RemoveSender(RemoveSender(name))
        self.over = True
        for member in self.members:
            self.close(member)

    # Senders

    def _AddSender(self, act: AddSender) -> None:
        if not act.events and act.mute:
            raise sig.InvalidArgument
        if self.closing:
            raise sig.Closed
        if act.sender in self.lives:
            raise sig.SenderAlreadyConnected(act.sender)
        self.lives[act.sender] = Life(act)
        self.presence(act.sender, "#connect", offers(act))

    def _RemoveSender(self, act: RemoveSender) -> bool:
        life = self.lives.pop(act.sender, None)
        if life is not None:
            self.presence(act.sender, "#disconnect", (*offers(life.act), "closed"))
        return life is not None

    def presence(self, sender: str, event: str, data: object) -> None:
        """Told behind what is being told of this sender."""
        rounds = self.rounds.get(sender)
        running = rounds is not None
        rounds = self.rounds.setdefault(sender, [])
        heard = Heard(sender, event, data)
        for group in self.grouped(self.matching(sender, event)):
            rounds.append(lambda group=group: self.give(group, heard))  # type: ignore[misc]
        if not running:
            while rounds:
                rounds.pop(0)()
            del self.rounds[sender]

    # Events

    def _Trigger(self, act: Trigger) -> None:
        life = self.lives.get(act.sender)
        if life is None:
            return
        if act.event not in life.act.events:
            raise sig.UnknownEvent(act.sender, act.event)
        if act.sender in self.rounds:
            self.rounds[act.sender].append(lambda: self.dispatch(life, act))
        else:
            self.dispatch(life, act)

    def dispatch(self, life: Life, act: Trigger) -> None:
        matching = self.matching(act.sender, act.event)
        number = None
        if act.event in life.act.retain or any(m.listen.meta or m.listen.group for m in matching):
            number = life.numbers[act.event] = life.numbers.get(act.event, 0) + 1
        if act.event in life.act.retain:
            life.last[act.event] = Heard(act.sender, act.event, act.data, True, number)
        for group in self.grouped(matching):
            self.give(group, Heard(act.sender, act.event, act.data), number)

    def matching(self, sender: str, event: str) -> list[Member]:
        found = [
            m
            for m in self.members
            if not m.closed and matches(m.listen.sender, sender) and matches(m.listen.event, event)
        ]
        return sorted(found, key=lambda m: (rank(m.listen), m.key))

    def grouped(self, members: list[Member]) -> list[Group]:
        """Each listener alone, but a group in the place of its first member."""
        found: list[Group] = []
        groups: dict[str, list[Member]] = {}
        for member in members:
            name = member.listen.group
            if name is None:
                found.append(([member], [0]))
            elif name in groups:
                groups[name].append(member)
            else:
                groups[name] = [member]
                found.append((groups[name], self.turns[name]))
        return found

    def give(self, group: Group, heard: Heard, number: int | None = None) -> None:
        """To the first who takes it: in turn among the emptiest queues."""
        members, turn = group
        start = turn[0] % len(members)
        turn[0] += 1
        for member in sorted(members[start:] + members[:start], key=lambda m: m.load):
            seq = number if member.listen.meta else None
            own = Heard(heard.sender, heard.event, heard.data, heard.initial, seq) if number is not None else heard
            if not member.closed and self.deliver(member, own):
                return

    def give_back(self, member: Member, heard: Heard) -> None:
        others = [m for m in self.matching(heard.sender, heard.event) if m.listen.group == member.listen.group]
        if member.listen.group is not None and others:
            self.give((others, self.turns[member.listen.group]), heard)

    # Listeners

    def _Listen(self, act: Listen) -> None:
        member = Member(len(self.members), act, box=None if act.queue is None else [])
        self.members.append(member)
        if self.over:
            member.closed = True
            raise sig.Closed
        if act.group is not None:
            self.turns.setdefault(act.group, [0])
        if not act.initial:
            return
        told: list[Heard] = []
        for name, life in self.lives.items():
            if matches(act.sender, name) and matches(act.event, "#connect"):
                told.append(Heard(name, "#connect", offers(life.act), True))
            if matches(act.sender, name):
                told += [life.last[e] for e in life.act.events if e in life.last and matches(act.event, e)]
        member.gate = []
        while told:
            for heard in told:
                taken = not member.closed and self.enter(member, heard)
                if not taken and not heard.initial:
                    self.give_back(member, heard)
            told, member.gate = member.gate, []
        member.gate = None

    def deliver(self, member: Member, heard: Heard) -> bool:
        if member.gate is not None:
            member.gate.append(heard)
            return True
        return self.enter(member, heard)

    def enter(self, member: Member, heard: Heard) -> bool:
        """Into the queue, or to the call; false if it takes nothing any more."""
        if member.listen.once:
            if member.used_up:
                return False
            member.used_up = True
        if member.box is None:
            self.call(member, heard)
            return True
        return self.put(member, heard)

    def put(self, member: Member, heard: Heard) -> bool:
        box, size, policy = member.box, member.listen.queue, member.listen.when_full
        assert box is not None
        assert size is not None
        if member.shut:
            return False
        if policy == "latest":
            kept = [old for old in box if (old.sender, old.event) != (heard.sender, heard.event)]
            member.missed += len(box) - len(kept)
            box[:] = kept
        full = len(box) == size
        if full:
            member.missed += 1
            if policy in ("drop_oldest", "latest"):
                del box[0]
        if not full or policy in ("drop_oldest", "latest"):
            box.append(heard)
        if not member.armed:
            member.armed = True
            self.desk.append(member)
        if full and policy == "disconnect":
            self.close(member)
        return True

    def _Drain(self, act: Drain) -> None:
        while self.desk:
            member = self.desk.pop(0)
            while member.box:
                member.received += 1
                self.call(member, member.box.pop(0))
            member.armed = False

    def call(self, member: Member, heard: Heard) -> None:
        if member.listen.once:
            self.out(member)
        member.calls += 1
        try:
            self.play(member.key, member.listen, heard, member.calls - 1)
        except ValueError as error:
            self.log.append(("failed", error.args[0]))

    def _Close(self, act: Close) -> None:
        if act.listener < len(self.members):
            self.close(self.members[act.listener])

    def close(self, member: Member) -> None:
        self.out(member)
        if member.box is not None and not member.shut:
            member.shut = True
            rest, member.box = member.box, []
            for heard in rest:
                self.give_back(member, heard)

    def out(self, member: Member) -> None:
        """Out of all that is told from now on."""
        member.closed = True
        name = member.listen.group
        if name is not None and all(m.closed for m in self.members if m.listen.group == name):
            self.turns.pop(name, None)

    # Requests

    def _Request(self, act: Request) -> object:
        return self.ask(act.sender, act.method, act.params)

    def ask(self, sender: str, method: str, params: Any) -> object:
        if self.hops == 16:
            raise sig.LoopDetected
        if self.over:
            raise sig.Closed
        if sender not in self.lives:
            raise sig.SenderNotConnected(sender)
        if self.lives[sender].act.mute:
            raise sig.RequestsNotSupported(sender)
        if method not in METHODS:
            raise sig.MethodNotFound(sender, method)
        self.hops += 1
        try:
            return self.answer(sender, method, params)
        finally:
            self.hops -= 1


def offers(act: AddSender) -> tuple[object, ...]:
    return (act.events, None if act.mute else METHODS)


def rank(listen: Listen) -> int:
    """Router broadcasts, sender broadcasts, channels and patterns, specific."""
    if listen.sender is None and listen.event is None:
        return 0
    if listen.event is None and listen.sender is not None and not is_pattern(listen.sender):
        return 1
    return 2 if None in (listen.sender, listen.event) or is_pattern(f"{listen.sender} {listen.event}") else 3
