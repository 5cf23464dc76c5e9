"""Names and numbers which are agreed on: reserved events, defaults, limits.

Every limit is written once, here, with its unit in its name and its reason beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

from sig.errors import InvalidArgument
from sig.spelling import meant

VERSION: Final = "1.0.0.dev0"

# -- names ---------------------------------------------------------------------------------------

# Triggered by routers when a sender registers and when it leaves.
EVENT_CONNECT: Final = "#connect"
EVENT_DISCONNECT: Final = "#disconnect"
# Triggered by routers for whoever watches over them; heard by its exact name only.
EVENT_AUDIT: Final = "#audit"

# No sender may declare or trigger one of these. A tuple, so that whoever walks it gets an order.
RESERVED_EVENTS: Final[tuple[str, ...]] = (EVENT_CONNECT, EVENT_DISCONNECT, EVENT_AUDIT)

# How an event which many senders share begins, by convention.
CHANNEL_DECORATOR: Final = "#"

# A name travels with one byte for its length, and stands in tables a million times.
NAME_MAX_BYTES: Final = 255
# Bounds the walk through a tree of names, and the combinations of patterns which can match one.
NAME_MAX_LEVELS: Final = 16

# Nesting of the JSON that peers exchange among themselves; real messages use five levels.
CONTROL_MAX_DEPTH: Final = 64

DEFAULT_PORT: Final = 3000

# How far what gives parts may be ahead of what takes them; both ends of a link count on it. A part costs its size and
# 64 bytes: some thousand small ones, which pays for the way of the credit also where all processors are busy.
STREAM_WINDOW_BYTES: Final = 256 * 1024

# -- limits --------------------------------------------------------------------------------------

_KIB: Final = 1024
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one router allows and how long it waits; immutable, each field is an option of the user.

    Names ending in `_bytes` and counts are whole numbers, names ending in `_s` are seconds. All are positive.

    Raises:
        InvalidArgument: a value which is not such a number.
    """

    # Largest frame we accept. A corrupt length must not make us allocate gigabytes;
    # sensors send bytes, cameras send megabytes. Above it, send in parts.
    max_frame_bytes: int = 16 * _MIB
    # Largest control message that either end reads: a sender with a thousand long names fits. Judging a megabyte of
    # brackets takes a third of a second, sixteen would take the server away from everybody for five.
    max_control_frame_bytes: int = 1 * _MIB
    # The same for a peer we do not know yet: a handshake is small, and strangers are many.
    max_frame_before_login_bytes: int = 16 * _KIB
    # Largest payload that a server looks into, to put it into the codec of a client that lacks the sender's: one byte
    # may stand for a hundred in memory.
    max_bridged_bytes: int = 1 * _MIB

    # What waits at the server for one slow link. From the first mark its events are dropped, oldest first,
    # and told as lost; at the second the link itself is cut, because what is left cannot be dropped.
    link_drop_bytes: int = 16 * _MIB
    link_cut_bytes: int = 64 * _MIB
    # Answers, routes and presence queued on one link. They cannot be dropped without lying, so the link goes.
    link_control_bytes: int = 4 * _MIB

    # What waits for all slow links together, each frame counted once; beyond it those that hold most lose their oldest
    # events. A quarter of it is for retained values. Half of it is what clients may send unasked, in all: each less
    # than `send_window_bytes` if they are many.
    memory_bytes: int = 256 * _MIB

    # What waits for one slow listener, whichever is reached first: small events weigh more than their bytes.
    listener_queue_events: int = 65_536
    listener_queue_bytes: int = 16 * _MIB
    # Events that a member of a group has without having begun them: more would be waiting behind a busy member while
    # others are idle, fewer would make it wait for the next after each.
    group_prefetch: int = 16

    # What a client holds unsent before `trigger` waits: enough to fill a fast link for
    # ten milliseconds, little enough that a stalled one is noticed early.
    send_window_bytes: int = 1 * _MIB
    # The same in an asyncio client, whose `trigger` cannot wait: beyond it is refused.
    send_outbox_bytes: int = 16 * _MIB
    # How long a new listener waits for senders that hold their events back to know of it. A sender that is alive
    # answers in milliseconds.
    interest_timeout_s: float = 5
    # How long `trigger` waits for room. Longer is a hang, in the eyes of the caller.
    send_timeout_s: float = 10

    # For a request without a timeout of its own, and the longest that may be asked for:
    # a forgotten request must give its slot back the same day.
    request_timeout_s: float = 30
    request_timeout_max_s: float = 600
    # How long a stream may give no part before whoever takes them is told; it has no other end in time.
    stream_idle_s: float = 30
    # A request that has caused this many others in a row is a circle.
    request_hops: int = 16
    # In flight on one link: what we ask, and what is asked of us. The second holds work of ours, hence fewer. Beyond it
    # and up to twice only those are let in who have less than their share; else the first who comes has it all.
    requests_out: int = 1_000
    requests_in: int = 256
    # Threads that run request handlers. Handlers wait for devices more than they compute.
    request_workers: int = 8

    # Opening a link, and then everything up to WELCOME.
    connect_timeout_s: float = 10
    handshake_timeout_s: float = 10
    # A client whose link is lost waits a random part of this before it tries again, then of twice as much, and so on up
    # to the other: thousands that lost their server in one instant must not come back in one.
    reconnect_first_s: float = 0.5
    reconnect_longest_s: float = 30
    # Whoever comes back within this time was never away, for others: most lost links are back in a second.
    presence_grace_s: float = 5
    # A client with reliable=True may be away for so long, and goes on as if it had not been. Each end of its link keeps
    # what the other has not acknowledged: so much, which at 100 Mbit/s takes a third of a second.
    session_s: float = 120
    resend_bytes: int = 4 * _MIB
    # What is triggered meanwhile is kept for the new link: so much, and for so long. What is older is no news.
    offline_bytes: int = 4 * _MIB
    offline_s: float = 30
    # A link that takes no byte for this long, while bytes wait, is dead.
    write_stall_s: float = 10
    # Either end of a link says something at least this often, a PING if there is nothing else: some routers on the way
    # forget a connection that is silent for a minute.
    heartbeat_s: float = 10
    # Whoever has said nothing for so long is gone. The system alone notices a pulled cable after minutes, or never.
    heartbeat_timeout_s: float = 25
    # How long `close` waits for our own threads, and `flush` for the server.
    close_timeout_s: float = 5
    flush_timeout_s: float = 30

    # Each connection costs a descriptor and some 20 KiB; the first mark keeps below common system limits.
    max_connections: int = 10_000
    # Strangers in the middle of a handshake; more of them is an attack or a thundering herd. And of them those
    # that come from one other machine, which must not keep everybody else out.
    max_pending_handshakes: int = 1_000
    max_pending_per_source: int = 100
    # Clients let in within a second, and in one instant: each costs half a millisecond of everybody's time, and after a
    # restart all of them come.
    max_accepts_per_s: int = 2_000
    # Descriptors that connections leave to the rest of the program, and to turning others away.
    reserve_descriptors: int = 32
    # How long clients are asked to stay away that were turned away or sent off. Short for a person, long for a machine.
    retry_after_s: float = 1
    # How long a server that is told to end waits for the answers to what it was asked.
    drain_timeout_s: float = 10
    # Per connection, and for the server as a whole: what one client may make everybody else pay.
    max_subscriptions: int = 10_000
    max_subscriptions_total: int = 1_000_000
    # Events and requests that the senders of one connection declare: each is a route here, and whoever listens to
    # all of them is told of each before its first event.
    max_events: int = 10_000
    # Senders of one connection.
    max_names: int = 1_000

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))

    @classmethod
    def of(cls, **options: float) -> Limits:
        """The limits with `options` changed, given by the names of the fields.

        Raises:
            InvalidArgument: an option which does not exist, with the nearest that does; or a bad value.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                hint = meant(name, known) or f"the limits are {', '.join(known)}"
                raise InvalidArgument(f"there is no option {name!r}; {hint}")
        # `_check` makes sure that what must be whole is whole.
        return cls(**options)  # type: ignore[arg-type]


def _check(name: str, value: object) -> None:
    in_seconds = name.endswith("_s")
    # A boolean is an int to Python, but nobody means one second by `True`.
    right_type = isinstance(value, int | float if in_seconds else int) and not isinstance(value, bool)
    if not (right_type and isinstance(value, int | float) and math.isfinite(value) and value > 0):
        unit = "a number of seconds above zero" if in_seconds else "a whole number above zero"
        raise InvalidArgument(f"{name} must be {unit}, not {value!r}")
