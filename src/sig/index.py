"""Who listens to what: subscriptions and the plans they reach, found from either side.

A *bucket* holds the subscriptions of one selector, that is one pair of (sender or pattern or any, event or pattern
or any). A *target* is one concrete sender's event: a signal here, a route in a server. Registering a subscription costs
the targets it matches; asking who hears an event costs those who hear it. Neither depends on how many others there are.

No locks: the owner calls every method under its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .names import NameTree, is_pattern, matches


class Subscribed(Protocol):
    """What can stand in a bucket."""

    @property
    def sender(self) -> str | None: ...
    @property
    def event(self) -> str | None: ...
    @property
    def serial(self) -> int: ...


class Target(Protocol):
    """What subscriptions are resolved for."""

    @property
    def sender(self) -> str: ...
    @property
    def event(self) -> str: ...


S = TypeVar("S", bound=Subscribed)
T = TypeVar("T", bound=Target)


class Bucket(Generic[S]):
    """The subscriptions of one selector, by their serial number, in order of registration."""

    __slots__ = ("_event", "_sender", "rank", "subscriptions")

    def __init__(self, sender: str | None, event: str | None) -> None:
        self._sender = sender
        self._event = event
        self.rank: int = rank(sender, event)
        self.subscriptions: dict[int, S] = {}


def rank(sender: str | None, event: str | None) -> int:
    """Place of a selector in the order of listeners: broadcasts first, those who asked most precisely last."""
    if sender is None and event is None:
        return 0
    if sender is not None and event is None and not is_pattern(sender):
        return 1
    if sender is None or event is None or is_pattern(sender) or is_pattern(event):
        return 2
    return 3


B = TypeVar("B", bound="Bucket")  # type: ignore[type-arg]  # a bound cannot be generic


class _ByEvent(Generic[B]):
    """Buckets that share a sender selector, found by event."""

    __slots__ = ("any", "tree")

    def __init__(self) -> None:
        self.any: B | None = None
        self.tree: NameTree[B] = NameTree()

    def covering(self, event: str) -> list[B]:
        found = self.tree.covering(event)
        return found if self.any is None or not matches(None, event) else [self.any, *found]


class Index(Generic[B, S, T]):
    """Buckets and targets, each found from the other."""

    def __init__(self, bucket: Callable[[str | None, str | None], B]) -> None:
        self._make = bucket
        self.count: int = 0
        # Selectors without a pattern: one lookup each. With one: by the sender's part, then by the event's.
        self._plain: dict[tuple[str | None, str | None], B] = {}
        self._of_any: _ByEvent[B] = _ByEvent()
        self._of_senders: NameTree[_ByEvent[B]] = NameTree()
        # Targets: by sender for those who name or match one, by event for channels.
        self._senders: NameTree[dict[str, T]] = NameTree()
        self._events: NameTree[dict[str, T]] = NameTree()
        # Senders may share a name: the others of an event, beside the one in those.
        self._beside: dict[tuple[str, str], list[T]] = {}

    # Subscriptions

    def add(self, subscription: S) -> list[T]:
        """Enter a subscription; returns the targets it reaches."""
        sender, event = subscription.sender, subscription.event
        bucket = self.bucket(sender, event)
        if bucket is None:
            bucket = self._make(sender, event)
            self._put(sender, event, bucket)
        bucket.subscriptions[subscription.serial] = subscription
        self.count += 1
        return self.targets(sender, event)

    def remove(self, subscription: S) -> list[T]:
        """Take a subscription out, if it is still in; returns the targets it reached."""
        sender, event = subscription.sender, subscription.event
        bucket = self.bucket(sender, event)
        if bucket is None or bucket.subscriptions.pop(subscription.serial, None) is None:
            return []
        self.count -= 1
        if not bucket.subscriptions:
            self._drop(sender, event)
        return self.targets(sender, event)

    def bucket(self, sender: str | None, event: str | None) -> B | None:
        """The bucket of exactly this selector."""
        if not _has_pattern(sender, event):
            return self._plain.get((sender, event))
        group = self._of_any if sender is None else self._of_senders.get(sender)
        if group is None:
            return None
        return group.any if event is None else group.tree.get(event)

    def make(self, sender: str | None, event: str | None) -> B:
        """An empty bucket, not entered: it is entered with its first subscription."""
        return self._make(sender, event)

    def all(self) -> list[S]:
        """Every subscription, in order of registration."""
        groups = [self._of_any]
        groups.extend(g for path in self._of_senders if (g := self._of_senders.get(path)) is not None)
        found = list(self._plain.values())
        for group in groups:
            if group.any is not None:
                found.append(group.any)
            found.extend(b for path in group.tree if (b := group.tree.get(path)) is not None)
        entered = [entry for bucket in found for entry in bucket.subscriptions.items()]
        entered.sort(key=_serial)
        return [subscription for _, subscription in entered]

    def buckets(self, sender: str) -> list[B]:
        """All buckets that name this sender, without a pattern."""
        # Rare (introspection of a sender), so it may cost a walk; an index for it would cost every registration.
        return [bucket for (name, _), bucket in self._plain.items() if name == sender]

    def matching(self, sender: str, event: str) -> list[S]:
        """Who hears this event: broadcasts first, specific last, each in order of registration."""
        plain = self._plain
        found: list[B] = []
        selectors: list[tuple[str | None, str | None]] = [(None, event), (sender, event)]
        if matches(None, event):  # not a reserved event that is heard by its exact name only
            selectors += (None, None), (sender, None)
        for selector in selectors:
            bucket = plain.get(selector)
            if bucket is not None:
                found.append(bucket)
        found.extend(self._of_any.covering(event))
        for group in self._of_senders.covering(sender):
            found.extend(group.covering(event))
        if len(found) == 1:
            return list(found[0].subscriptions.values())
        ranked = [(b.rank, serial, s) for b in found for serial, s in b.subscriptions.items()]
        ranked.sort(key=_place)
        return [subscription for _, _, subscription in ranked]

    def _put(self, sender: str | None, event: str | None, bucket: B) -> None:
        if not _has_pattern(sender, event):
            self._plain[sender, event] = bucket
            return
        group = self._of_any if sender is None else self._of_senders.get(sender)
        if group is None:
            group = _ByEvent()
            self._of_senders.set(str(sender), group)
        if event is None:
            group.any = bucket
        else:
            group.tree.set(event, bucket)

    def _drop(self, sender: str | None, event: str | None) -> None:
        if not _has_pattern(sender, event):
            del self._plain[sender, event]
            if not self._plain:
                self._plain.clear()  # which gives back the room of a hundred thousand, unlike their removal
            return
        group = self._of_any if sender is None else self._of_senders.get(sender)
        assert group is not None  # the bucket was found in it
        if event is None:
            group.any = None
        else:
            group.tree.discard(event)
        if sender is not None and group.any is None and not group.tree:
            self._of_senders.discard(sender)

    # Targets

    def add_target(self, target: T, *, beside: bool = False) -> None:
        """Enter a concrete event of a concrete sender; `beside` another of its name that may be there."""
        if beside and self.target(target.sender, target.event) is not None:
            self._beside.setdefault((target.sender, target.event), []).append(target)
            return
        for tree, outer, inner in (
            (self._senders, target.sender, target.event),
            (self._events, target.event, target.sender),
        ):
            table = tree.get(outer)
            if table is None:
                table = {}
                tree.set(outer, table)
            table[inner] = target

    def remove_target(self, target: T) -> None:
        """Take it out, unless another has taken its place meanwhile. One that is beside it moves up."""
        name = target.sender, target.event
        others = self._beside.get(name)
        if others is not None:
            current = self.target(*name)
            if current is not target:
                others[:] = [other for other in others if other is not target]
            if not others or (current is target and len(others) == 1):
                del self._beside[name]
            if current is target:
                self.add_target(others.pop(0))
            return
        for tree, outer, inner in (
            (self._senders, target.sender, target.event),
            (self._events, target.event, target.sender),
        ):
            table = tree.get(outer)
            if table is not None and table.get(inner) is target:
                del table[inner]
                if not table:
                    tree.discard(outer)

    def target(self, sender: str, event: str) -> T | None:
        """The target of that name."""
        table = self._senders.get(sender)
        return table.get(event) if table is not None else None

    def alike(self, sender: str, event: str) -> list[T]:
        """All targets of that name."""
        target = self.target(sender, event)
        return [] if target is None else [target, *self._beside.get((sender, event), ())]

    def targets(self, sender: str | None, event: str | None) -> list[T]:
        """All targets that this selector reaches."""
        found = self._targets(sender, event)
        if self._beside:
            found += [other for one in found for other in self._beside.get((one.sender, one.event), ())]
        return found

    def _targets(self, sender: str | None, event: str | None) -> list[T]:
        if sender is None and event is not None:
            tables = self._events.matching(event)
            return [target for table in tables for target in table.values()]
        tables = self._senders.matching("**" if sender is None else sender)
        if event is None or is_pattern(event):
            return [target for table in tables for name, target in table.items() if matches(event, name)]
        return [table[event] for table in tables if event in table]


def _has_pattern(sender: str | None, event: str | None) -> bool:
    return (sender is not None and is_pattern(sender)) or (event is not None and is_pattern(event))


def _place(entry: tuple[int, int, object]) -> tuple[int, int]:
    return entry[0], entry[1]


def _serial(entry: tuple[int, object]) -> int:
    return entry[0]
