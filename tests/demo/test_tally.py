"""What the demo counts, and how it shows it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import sig
from sig.demo.summary import show, summary
from sig.demo.tally import Note, Tally, percentiles
from sig.demo.view import picture

AT = 1.0


@pytest.fixture
def tally() -> Tally:
    return Tally()


def play(tally: Tally, *lives: list[object]) -> None:
    """Sender a/b triggers `e` with these data, in several lives."""
    with sig.Router() as router:
        router.listen(tally.event, "a/*", None)
        for life in lives:
            with router.add_sender("a/b", "e") as sender:
                for data in life:
                    sender.trigger("e", data)


def numbered(*numbers: int) -> list[object]:
    return [{"at": AT, "number": number, "x": 1} for number in numbers]


@pytest.mark.parametrize(
    ("lives", "missed"),
    [
        ([numbered(1, 2, 3)], 0),
        ([numbered(1, 2), numbered(1, 2)], 0),
        ([numbered(1, 3)], 1),
        ([numbered(3)], 2),
        ([numbered(1, 1)], 1),
        ([numbered(1, 2), numbered(2)], 1),
        ([[5, None, {"number": 9}]], 0),
    ],
)
def test_what_is_missing_or_came_twice_is_seen_by_its_number(
    tally: Tally, lives: list[list[object]], missed: int
) -> None:
    play(tally, *lives)
    seen = tally.snapshot()
    assert seen.missed == missed
    assert seen.rows["a/b", "e"].count == sum(map(len, lives))


def test_presence_is_noted_with_its_reason(tally: Tally) -> None:
    play(tally, [5], [6])
    assert tally.snapshot().texts("presence") == ["a/b #connect", "a/b #disconnect (closed)"] * 2


def test_notes_are_told_at_once() -> None:
    told: list[Note] = []
    tally = Tally(told.append)
    tally.note("answer", "42")
    tally.gap(sig.Info({"sender": "a", "event": "e"}), sig.Gap(3, "slow"))
    assert told == [("answer", "42"), ("missed", "a e: 3 events missed (slow)")]


def test_one_can_wait_for_the_next_of_an_event(tally: Tally) -> None:
    first, second, left = tally.next("a/b", "e"), tally.next("a/b", "e"), tally.next("a/b", sig.EVENT_DISCONNECT)
    other = tally.next("a/c", "e")
    play(tally, [5, 6])
    assert (first.result(0), second.result(0)) == (5, 5)
    assert left.result(0) == {"events": ["e"], "requests": None, "reason": "closed"}
    assert not other.done()


def test_the_rate_is_of_the_last_ten_seconds(tally: Tally) -> None:
    play(tally, numbered(*range(1, 21)))
    row = tally.snapshot().rows["a/b", "e"]
    now = row.recent[-1]
    assert row.rate(now + 5) == pytest.approx(4, rel=0.1)
    assert row.rate(now + 20) == 0


def test_percentiles() -> None:
    assert percentiles([2.0]) == {"p50": 2.0, "p99": 2.0}
    assert percentiles([float(n) for n in range(101)]) == {"p50": 50.0, "p99": 99.0}


def drawn(what: object) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(what)
    return console.export_text()


def test_the_picture_shows_text_as_text(tally: Tally) -> None:
    with sig.Router() as router:
        router.listen(tally.event, "a/*", None)
        with router.add_sender("a/[red]b", "e") as sender:
            sender.trigger("e", {"at": AT, "number": 2, "x": "[bold]"})
            sender.trigger("e", "\x9b")
    text = drawn(picture(tally.snapshot(), "headline [i]", now=0.0))
    for part in ("headline [i]", "a/[red]b", "a/[red]b #connect", r'"\u009b"', "events missed: 1"):
        assert part in text


def test_the_summary_tells_problems_and_what_the_listener_missed(tally: Tally) -> None:
    play(tally, numbered(1), ["no time"])
    found = summary(tally.snapshot(), seconds=4.04, missed=7, problems=["[b]it did not come"])
    assert (found.seconds, found.missed, found.events) == (4.0, 7, {"a/b e": 2})
    console = Console(width=200, file=io.StringIO(), record=True)
    show(found, console)
    text = console.export_text()
    assert "not as expected: [b]it did not come" in text
    assert "events missed: 7" in text


def test_events_without_a_time_have_no_latency(tally: Tally) -> None:
    play(tally, ["no time"])
    found = summary(tally.snapshot(), seconds=4, missed=0, problems=[])
    assert (found.events, found.latency_ms) == ({"a/b e": 1}, {})
    assert '"no time"' in drawn(picture(tally.snapshot(), "", now=0.0))
