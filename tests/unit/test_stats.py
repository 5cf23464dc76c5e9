"""What a router without links tells about itself, and what the records promise."""

from __future__ import annotations

import msgspec
import pytest

import sig
from sig.errors import Closed, InvalidArgument
from sig.stats import MOST_ROWS, LinkStats, ListenerStats, SenderStats, Stats, Totals


def nothing(info: object, data: object) -> None:
    """A listener."""


def test_who_sends_and_who_listens() -> None:
    with sig.Router() as router:
        router.add_sender("lab/oven", ["done", "state"])
        router.add_sender("lab/laser", "state")
        router.listen(nothing, "lab/*", "state")
        router.listen(nothing, "lab/oven")
        stats = router.stats()
        assert stats.totals == Totals(senders=2, events=3, subscriptions=2)
        assert stats.senders == [
            SenderStats(sender="lab/oven", event="state", receivers=2),
            SenderStats(sender="lab/oven", event="done", receivers=1),
            SenderStats(sender="lab/laser", event="state", receivers=1),
        ]
        assert stats.listeners == [
            ListenerStats(sender="lab/*", event="state"),
            ListenerStats(sender="lab/oven", event=None),
        ]
        assert stats.links == []


def test_those_come_first_who_miss_most_or_have_most_to_do() -> None:
    work: list[object] = []
    with sig.Router(executor=work.append) as router:
        for queue in (1, 2, 5, 5):
            router.listen(nothing, "s", "e", queue=queue)
        idle = router.listen(nothing, "s", None, queue=5)
        signal = router.add_sender("s", "e").signal("e")
        for _ in range(4):
            signal.trigger()
        idle.close()
        rows = router.stats(limit=3).listeners
        assert idle.closed
        assert [(row.missed, row.pending, row.received) for row in rows] == [(3, 1, 0), (2, 2, 0), (0, 4, 0)]
        assert router.stats().totals.missed == 5
        assert router.stats(limit=0).listeners == []


def test_a_limit_is_a_number_of_rows() -> None:
    with sig.Router() as router:
        assert router.stats(MOST_ROWS).time > 0
        for wrong in (-1, MOST_ROWS + 1, 1.5, True, "5", None):
            with pytest.raises(InvalidArgument, match=f"limit must be a whole number from 0 to {MOST_ROWS}"):
                router.stats(wrong)  # type: ignore[arg-type]
    with pytest.raises(Closed):
        router.stats()


def test_what_another_version_does_not_tell_is_nothing_and_what_it_tells_beside_is_ignored() -> None:
    told = msgspec.json.decode(b'{"time":1.5,"news":[],"links":[{"client":1,"name":"","address":"here","x":1}]}')
    assert msgspec.convert(told, Stats) == Stats(time=1.5, links=[LinkStats(client=1, name="", address="here")])
