"""What a sender triggers, and the flattened list of who must be called for it.

A plan is built when the first event after a registration is triggered, then only walked: nothing is looked up, matched
or locked. Registering marks the plans it reaches as stale, by putting one entry into them that rebuilds.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

from .errors import InvalidData
from .forms import written_as
from .info import Info, Received
from .kinds import exact, fitter, shown
from .subscription import Callback, Subscription

if TYPE_CHECKING:
    from .hub import Hub

F = TypeVar("F", bound=Callable[..., object])

# The class whose very instances go through, and what makes other data fit, or raises `InvalidData`.
Check: TypeAlias = tuple[type, Callable[[object], object]]
UNCHECKED: Final[Check] = (object, lambda data: data)


def raises_to_trigger(function: F) -> F:
    """Says that an entry of a plan is ours and no listener: what it raises is the business of whoever triggers."""
    return function


class Calls(list[Callback]):
    """The callables of one plan, in order. Replaced as a whole when somebody registers.

    Only one thing ever happens to a list that may be under way: the entry of a listener that has closed is blanked, so
    that no call begins after `close()`, at no cost for the rounds in which nobody closes. (An immutable tuple would
    need a test for each call.)
    """

    __slots__ = ("__weakref__", "subscriptions")

    def __init__(self, calls: Iterable[Callback], subscriptions: Sequence[Subscription] = ()) -> None:
        super().__init__(calls)
        self.subscriptions: Sequence[Subscription] = subscriptions


class Turn:
    """Whose turn it is in one group; shared by all plans, so that a group shares the first events of many too."""

    __slots__ = ("members", "numbers")

    def __init__(self) -> None:
        self.numbers: count[int] = count()
        self.members: int = 0


class Group:
    """The members of one listener group on one plan: each event goes to exactly one of them."""

    __slots__ = ("_turn", "members")

    def __init__(self, turn: Turn) -> None:
        self.members: list[Subscription] = []
        self._turn = turn

    def queue(self) -> list[Subscription]:
        """Who is asked first: in turn among those whose queues are the emptiest."""
        start = next(self._turn.numbers) % len(self.members)
        return sorted(self.members[start:] + self.members[:start], key=_load)


def _load(member: Subscription) -> float:
    return member.load


def _nothing(info: Info, data: object) -> None:
    """Stands where a closed listener stood."""


class Plan:
    """Who is called for one event of one sender."""

    def __init__(self, router: Hub, sender: str, event: str, event_info: dict[str, object] | None = None) -> None:
        self._router = router
        self.sender = sender
        self.event = event
        self.event_info: dict[str, object] = {"sender": sender, "event": event} if event_info is None else event_info
        self.info: Info = Info(self.event_info)
        self.incarnation: int | None = None
        self.kind: Any = None  # the type of the data; `None` for any
        self.retains = False
        self.last: Received | None = None
        self._seq = 0
        # Guards last, _seq and _members, where they are used. An RLock, because the garbage collector may call a
        # `__del__` while it is held, and that may trigger.
        self._lock: RLock | None = None
        self._members: Sequence[Subscription | Group] = ()
        self._calls = Calls((self._refresh,))
        self._walked: list[weakref.ref[Calls]] = []  # lists that a round may still be walking

    # Registration; the router's lock is held

    def mark_stale(self) -> None:
        """Rebuild before the next event."""
        self._calls = Calls((self._refresh,))

    def blank(self, subscription: Subscription) -> None:
        """Take a closed listener out of the rounds that are under way."""
        for calls in self._under_way():
            for position, other in enumerate(calls.subscriptions):
                if other is subscription:
                    calls[position] = _nothing

    @property
    def under_way(self) -> bool:
        """Whether a round may still be walking what was built here."""
        return bool(self._under_way())

    def rebuild(self, subscriptions: list[Subscription]) -> Received | None:
        """Flatten: these listeners, in this order. Returns the retained value, which is what they have missed: each
        event is either in it, or before it, or reaches them."""
        self._walked = [reference for reference in self._walked if reference() is not None]
        if self.retains or any(s.options.meta or s.options.group is not None for s in subscriptions):
            if self._lock is None:
                self._lock = RLock()
            with self._lock:
                self._members = self._router._grouped(subscriptions)
                self._calls = Calls((self._walk_numbered,))
                return self.last
        self._calls = calls = Calls((s.call for s in subscriptions), subscriptions)
        self._walked.append(weakref.ref(calls))
        return None

    def _under_way(self) -> list[Calls]:
        return [calls for reference in self._walked if (calls := reference()) is not None]

    # Dispatch; no lock is held

    def walk(self, data: object, calls: Calls | None = None) -> None:
        """Call everybody on the plan, or in an older list of it."""
        info = self.info
        for call in self._calls if calls is None else calls:
            try:
                call(info, data)
            except Exception as error:
                self._failed(call, error)

    @raises_to_trigger
    def _refresh(self, info: Info, data: object) -> None:
        """The only entry of a stale plan: rebuild, then go on as if nothing had been."""
        if self._router._refresh(self, data):
            Plan.walk(self, data)

    @raises_to_trigger
    def _walk_numbered(self, info: Info, data: object) -> None:
        """The only entry of a plan that retains, numbers or has groups."""
        assert self._lock is not None  # made by the rebuild that put us here
        with self._lock:
            self._seq += 1
            numbered = Info(self.event_info, seq=self._seq, time=self._wall(), incarnation=self.incarnation)
            if self.retains:
                self.last = Received(numbered, data)
            members = self._members
        for member in members:
            self._router._give(member, info, data, numbered)

    def _wall(self) -> float:
        """When the event under way was accepted: seconds since the epoch."""
        return self._router._runtime.wall()

    def _failed(self, call: Callback, error: Exception) -> None:
        found = [s for calls in self._under_way() for s in calls.subscriptions if s.call is call]
        if not found:
            raise error  # of an entry that is ours
        self._router._complaints.listener_failed(found[0], error, self.info)


class Signal(Plan):
    """One event of one sender of this process: what `sender.signal(event)` returns.

    Made by the router. A subclass (`Router(class_signal=...)`, or `class_signal` of a sender) may override `trigger`
    and add keys to `event_info`, which listeners in the same process see in `info`.
    """

    def trigger(self, data: object = None) -> None:
        """Call every listener of this event, broadcasts first, and return.

        In a plain `Router` the listeners run on this thread, before this returns; with links the event is handed to
        the network. A listener that raises is reported to `router.on_error`; the others still run.

        Raises `SenderNotConnected` after the sender has left.
        """
        # The body of Plan.walk, once more: a call in between would cost half as much as a listener.
        info = self.info
        for call in self._calls:
            try:
                call(info, data)
            except Exception as error:
                self._failed(call, error)

    def trigger_many(self, values: Iterable[object]) -> None:
        """Trigger once for each value, in order: `trigger`, bound once. Raises as it does, at that value.

        Those before it have been triggered then. With links, values that come quickly share frames, as ever.
        """
        trigger = self.trigger
        for data in values:
            trigger(data)

    def check(self, *, structs: bool) -> Check:
        """How data is to be looked at before it is sent; not at all if somebody else does it.

        Args:
            structs: whether a Struct is written as a dict of its fields is.
        """
        return UNCHECKED

    def bind(self, trigger: Callable[[object], None], send: Callback) -> None:
        """For routers with links: `trigger`, which looks as `check` says, takes the place of the method, unless a
        subclass has its own; that one calls `send` in the end.

        The method's checks and lookups would cost as much as all the rest of sending an event.
        """
        self._calls = Calls((send,))
        if type(self).trigger in (Signal.trigger, TypedSignal.trigger):
            self.trigger = trigger  # type: ignore[method-assign,assignment]  # of this one signal, on purpose

    def unbind(self) -> None:
        """Undo `bind`: triggering asks the router, who knows why it cannot be."""
        self.__dict__.pop("trigger", None)
        self.mark_stale()


class TypedSignal(Signal):
    """A signal whose data has a type. Instances of it go through; other data is made to fit, and listeners get that.

    Raises `InvalidData` from `trigger`, and nobody is called, where it cannot be.
    """

    kind: Any
    _exact: type
    _fit: Callable[[object], Any]

    def take(self, kind: Any) -> None:
        """Let the data be of this type."""
        self.kind, self._exact = kind, exact(kind)
        self._fit = fitter(kind)

    def trigger(self, data: object = None) -> None:
        if type(data) is not self._exact:
            data = self._fitted(data)
        # The body of Signal.trigger; see there.
        info = self.info
        for call in self._calls:
            try:
                call(info, data)
            except Exception as error:
                self._failed(call, error)

    def check(self, *, structs: bool) -> Check:
        if type(self).trigger is not TypedSignal.trigger:
            return UNCHECKED  # that of a subclass calls ours in the end
        form = written_as(self.kind) if structs else None
        fitted, convert = self._fitted, msgspec.convert

        def made(data: object) -> object:
            try:
                return convert(data, form)
            except Exception:
                return fitted(data)

        return self._exact, fitted if form is None else made

    def _fitted(self, data: object) -> object:
        try:
            return self._fit(data)
        except msgspec.ValidationError as error:
            raise InvalidData(
                f"event {self.event!r} of sender {self.sender!r} takes {shown(self.kind)}: {error}"
            ) from None


_typed: dict[type[Signal], type[TypedSignal]] = {Signal: TypedSignal}


def typed_class(plain: type[Signal]) -> type[TypedSignal]:
    """Signals of that class, with a type. A `trigger` of its own still comes first, and calls ours in the end."""
    found = _typed.get(plain)
    if found is None:
        bases: tuple[Any, ...] = (plain, TypedSignal)  # ours behind the user's class, and before `Signal`
        found = _typed[plain] = type(f"Typed{plain.__name__}", bases, {"__module__": plain.__module__})
    return found
