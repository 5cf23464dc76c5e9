"""What a sender triggers, and the flattened list of who must be called for it.

A plan is built when the first event after a registration is triggered, then only walked: nothing is looked up, matched
or locked. Registering marks the plans it reaches as stale, by putting one entry into them that rebuilds.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from .info import Info, Received
from .subscription import Callback, Subscription

if TYPE_CHECKING:
    from .router import Router

F = TypeVar("F", bound=Callable[..., object])


def raises_to_trigger(function: F) -> F:
    """Mark an entry of a plan that is ours: what it raises is the caller's business, no listener's mistake."""
    function._raises_to_trigger = True  # type: ignore[attr-defined]
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
        self.subscriptions = subscriptions


class Group:
    """The members of one listener group on one plan: each event goes to exactly one of them."""

    __slots__ = ("_turn", "members")

    def __init__(self, members: list[Subscription], turn: count[int]) -> None:
        self.members = members
        self._turn = turn

    def pick(self) -> Subscription | None:
        """Who is next: in turn among those with the shortest queue. `None` when all have closed."""
        start = next(self._turn)
        live = [m for m in self.members if not m.closed]
        if not live:
            return None
        start %= len(live)
        return min(live[start:] + live[:start], key=_pending)


def _pending(member: Subscription) -> int:
    return member.pending


def _nothing(info: Info, data: object) -> None:
    """Stands where a closed listener stood."""


class Plan:
    """Who is called for one event of one sender."""

    def __init__(self, router: Router, sender: str, event: str, event_info: dict[str, object] | None = None) -> None:
        self._router = router
        self.sender = sender
        self.event = event
        self.event_info: dict[str, object] = {"sender": sender, "event": event} if event_info is None else event_info
        self.info = Info(self.event_info)
        self.incarnation: int | None = None
        self.retains = False
        self.last: Received | None = None
        self._seq = 0
        self._lock: Lock | None = None  # guards last, _seq and _members of a plan that retains, numbers or groups
        self._members: Sequence[Subscription | Group] = ()
        self._calls = Calls((self._refresh,))
        self._walked: list[weakref.ref[Calls]] = []  # lists that a round may still be walking

    # Registration; the router's lock is held

    def mark_stale(self) -> None:
        """Rebuild before the next event."""
        self._calls = Calls((self._refresh,))

    def blank(self, subscription: Subscription) -> None:
        """Take a closed listener out of the rounds that are under way."""
        for reference in self._walked:
            calls = reference()
            if calls is not None:
                for position, other in enumerate(calls.subscriptions):
                    if other is subscription:
                        calls[position] = _nothing

    def rebuild(self, subscriptions: list[Subscription]) -> None:
        """Flatten: these listeners, in this order."""
        self._walked = [reference for reference in self._walked if reference() is not None]
        if self.retains or any(s.options.meta or s.options.group is not None for s in subscriptions):
            if self._lock is None:
                self._lock = Lock()
            with self._lock:
                self._members = self._grouped(subscriptions)
            self._calls = Calls((self._walk_numbered,))
            return
        self._calls = calls = Calls((s.call for s in subscriptions), subscriptions)
        self._walked.append(weakref.ref(calls))

    def snapshot(self) -> Received | None:
        """The retained value, so that what follows it reaches exactly the listeners of the last `rebuild`."""
        if self._lock is None:
            return None
        with self._lock:
            return self.last

    def _grouped(self, subscriptions: list[Subscription]) -> list[Subscription | Group]:
        members: list[Subscription | Group] = []
        groups: dict[str, Group] = {}
        for subscription in subscriptions:
            name = subscription.options.group
            if name is None:
                members.append(subscription)
            elif name in groups:
                groups[name].members.append(subscription)
            else:
                groups[name] = group = Group([subscription], self._router._group_turn(name))
                members.append(group)
        return members

    # Dispatch; no lock is held

    def walk(self, data: object) -> None:
        """Call everybody on the plan."""
        info = self.info
        for call in self._calls:
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
            numbered = Info(
                self.event_info, seq=self._seq, time=self._wall(), incarnation=self.incarnation
            )
            if self.retains:
                self.last = Received(numbered, data)
            members = self._members
        guarded = self._router._guarded
        for member in members:
            listener = member.pick() if isinstance(member, Group) else member
            if listener is not None and not listener.closed:
                guarded(listener.call, numbered if listener.options.meta else info, data, listener)

    def _wall(self) -> float:
        """When the event under way was accepted: seconds since the epoch."""
        return self._router._runtime.wall()

    def _failed(self, call: Callback, error: Exception) -> None:
        if getattr(call, "_raises_to_trigger", False):
            raise error
        for reference in self._walked:
            calls = reference()
            for other, subscription in zip(calls or (), calls.subscriptions if calls else (), strict=False):
                if other is call:
                    self._router._listener_failed(subscription, error, self.info)
                    return
        self._router._listener_failed(call, error, self.info)


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
