"""What a client asks its server for: to hear something, and to hold a name. The same on each link that it has."""

from __future__ import annotations

import msgspec

from sig.messages import AddSender, Listen, Schema, encode_control
from sig.sender import Owned
from sig.subscription import Subscription


def number_of(subscription: Subscription) -> int:
    """How the two call it."""
    return subscription.serial & 0xFFFFFFFF


def wish(subscription: Subscription) -> Listen:
    """To hear what it listens to."""
    options, pace = subscription.options, subscription.pace
    call = Listen(number_of(subscription), subscription.sender, subscription.event, options.initial)
    if pace is None:
        return call
    wait = None if options.group is not None else options.max_wait
    return msgspec.structs.replace(call, group=options.group, max_wait_s=wait, window=pace.window)


def introduction(sender: Owned, lost: dict[str, int | None] | None = None, absence: int = 0) -> AddSender:
    """To hold its name; of one that was there before, how many of its events never came, in that absence."""
    signals, methods = sender._signals, sender._handlers.names
    retain = [signal.event for signal in signals.values() if signal.retains]
    schema, shared = _schema(sender), sender._shared
    return AddSender(sender.name, list(signals), methods, schema, retain, shared, lost or {}, absence)


def _schema(sender: Owned) -> Schema | None:
    if sender._schema is None:
        return None
    parts = (sender._schema["events"], sender._schema["requests"])
    return Schema(*({name: msgspec.Raw(encode_control(schema)) for name, schema in part.items()} for part in parts))
