"""What a server tells of itself when it is asked, read: who sends, who is linked, what goes on, what came last.

All but the last raise `ProtocolError` for what nobody could read.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from sig.errors import InvalidData, MessageTooBig, Overloaded, ProtocolError, SigError
from sig.info import ClientInfo, SenderInfo
from sig.messages import ClientRow, SenderRow
from sig.stats import Stats

T = TypeVar("T")

# What `last` raises where the value does not come, by the reason; any other is its size.
_MISSING: Final[dict[str, type[SigError]]] = {"codec": InvalidData, "slow": Overloaded}


def senders(answer: object) -> list[SenderInfo]:
    rows = _read(answer, list[SenderRow], "list of senders")
    return [SenderInfo(r.name, r.events, r.requests, r.since, r.address, r.instance, r.schema) for r in rows]


def clients(answer: object) -> list[ClientInfo]:
    return [ClientInfo(*msgspec.structs.astuple(row)) for row in _read(answer, list[ClientRow], "list of clients")]


def stats(answer: object) -> Stats:
    return _read(answer, Stats, "statistics")


def missing(sender: str, event: str, reason: str) -> SigError:
    """Why there is no last value, although there is one."""
    return _MISSING.get(reason, MessageTooBig)(
        f"the last value of event {event!r} of sender {sender!r} cannot be had ({reason}): "
        "ask again, give this client a codec and a max_frame_bytes that can take it, or the server more memory"
    )


def _read(answer: object, kind: type[T], what: str) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"the server's {what} cannot be read: {error}") from None
