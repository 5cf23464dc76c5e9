"""Parts of answers find the calls that they belong to."""

from __future__ import annotations

import pytest

from sig.errors import RemoteProtocolError
from sig.messages import Presence, Route
from sig.protocol.bodies import Lost
from sig.protocol.events import pack_batch
from sig.protocol.frames import Frame
from sig.protocol.past import Pasts, Told


def event(lane: int, *payloads: bytes) -> Frame:
    return Frame.of(pack_batch(lane, payloads, lens=False, lines=True))


def lane(call: int | None) -> Route:
    return Route("a", "e", next_seq=7, call=call)


def test_what_is_told_waits_for_its_answer_in_its_order() -> None:
    pasts = Pasts()
    pasts.expect(1)
    pasts.expect(2)
    pasts.lanes[30], pasts.lanes[31], pasts.lanes[32] = lane(1), lane(2), lane(1)
    frame, other = event(30, b"1"), event(31, b"2")
    presence = Presence("a", 5, "#connect", call=1)
    pasts.event(frame)
    pasts.event(other)
    pasts.presence(presence)
    pasts.lost(Lost(32, 1, "too_big"))
    assert pasts.take(1) == [Told(lane(1), frame), presence, Told(lane(1), None, "too_big")]
    assert pasts.take(2) == [Told(lane(2), other)]
    assert pasts.take(1) == []


def test_what_nobody_waits_for_is_dropped() -> None:
    pasts = Pasts()
    pasts.lanes[30], pasts.lanes[31] = lane(1), lane(None)
    pasts.event(event(30, b"1"))
    pasts.event(event(31, b"1"))
    pasts.presence(Presence("a", 5, "#connect", call=1))
    pasts.expect(1)
    assert pasts.take(1) == []


def test_a_lane_is_for_one_event() -> None:
    pasts = Pasts()
    pasts.lanes[30] = lane(1)
    with pytest.raises(RemoteProtocolError, match="2 events on lane 30"):
        pasts.event(event(30, b"1", b"2"))
