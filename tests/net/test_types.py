"""Types over links: schemas travel, and whoever wants other data than is offered is told."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest
from net.raw import LIMIT_S

import sig


class Reading(msgspec.Struct):
    celsius: float
    unit: str = "C"


class Placed(msgspec.Struct):
    celsius: float
    place: str


SCHEMA: dict[str, Any] = {
    "events": {
        "changed": {
            "$ref": "#/$defs/Reading",
            "$defs": {
                "Reading": {
                    "title": "Reading",
                    "type": "object",
                    "properties": {"celsius": {"type": "number"}, "unit": {"type": "string", "default": "C"}},
                    "required": ["celsius"],
                }
            },
        }
    },
    "requests": {
        "raise_by": {"params": {"type": "number"}, "result": {"type": "number"}},
        "steps": {"params": {"type": "integer"}, "result": {"type": "string"}, "parts": {"type": "integer"}},
    },
}


def raise_by(params: float) -> float:
    return params + 1


def steps(params: int) -> Generator[int, None, str]:
    yield from range(params)
    return "done"


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("local://types") as server:
        yield server


@pytest.fixture(params=["at the server", "at a client"])
def router(server: sig.ServerRouter, request: pytest.FixtureRequest) -> Iterator[sig.Router]:
    if request.param == "at the server":
        yield server
        return
    with sig.connect("local://types") as client:
        yield client


class Told(list[str]):
    """What went wrong, as `on_error` is told it; can be waited for."""

    def __init__(self, router: sig.Router) -> None:
        self.router = router
        router.on_error = lambda failed: self.append(f"{failed.info.event}: {failed.error}")

    def settled(self) -> list[str]:
        self.router.flush()
        driver: Any = self.router._driver  # type: ignore[attr-defined]  # these have links
        driver.drain(LIMIT_S)
        return list(self)


def test_schemas_are_seen_wherever_one_looks(server: sig.ServerRouter, router: sig.Router) -> None:
    seen: list[object] = []
    router.listen(lambda info, data: seen.append(data), None, "#connect")
    with sig.connect("local://types") as other:
        sender = other.add_sender("thermo", {"changed": Reading, "plain": None}, [raise_by, steps])
        other.add_sender("untyped", "e")
        for each in (router, other, server):
            assert {row.name: row.schema for row in each.senders()} == {"thermo": SCHEMA, "untyped": None}
        sender.trigger("changed", Reading(21))
        Told(router).settled()
    assert seen[0] == {"events": ["changed", "plain"], "requests": ["raise_by", "steps"], "schema": SCHEMA}
    assert seen[1] == {"events": ["e"], "requests": None}


@pytest.mark.parametrize("first", ["sender", "listener"])
def test_who_wants_other_data_is_told_before_the_first_event(router: sig.Router, first: str) -> None:
    def placed(info: sig.Info, data: Placed) -> None: ...

    def fits(info: sig.Info, data: Reading) -> None: ...

    def anything(info: sig.Info, data: object) -> None: ...

    told = Told(router)
    with sig.connect("local://types") as other:

        def listen() -> None:
            for callback in (anything, fits, placed):
                router.listen(callback, "thermo", "*")

        if first == "listener":
            listen()
        sender = other.add_sender("thermo", {"changed": Reading, "plain": None})
        if first == "sender":
            listen()
        else:
            # An event that fits everybody, and by which the sender is known.
            sender.trigger("changed", {"celsius": 1})
            other.flush()
            told.settled()
        [sentence] = [text for text in told.settled() if "takes Placed" in text]
        assert "and 'thermo' triggers 'changed' with other data: $.place is missing" in sentence


def test_ones_own_senders_are_compared_too(router: sig.Router) -> None:
    told = Told(router)

    def placed(info: sig.Info, data: Placed) -> None: ...

    router.add_sender("thermo", {"changed": Reading})
    router.listen(placed, "thermo", "changed")
    assert [text.partition("$")[2] for text in told.settled()] == [".place is missing"]


def test_an_event_that_does_not_fit_costs_only_that_one(router: sig.Router) -> None:
    told = Told(router)
    heard: list[Reading] = []

    def hear(info: sig.Info, data: Reading) -> None:
        heard.append(data)

    router.listen(hear, "thermo", "changed")
    with sig.connect("local://types") as other:
        sender = other.add_sender("thermo", "changed")
        for celsius in (1, "warm", 2, 3):
            sender.trigger("changed", {"celsius": celsius})
        other.flush()
        errors = told.settled()
    assert heard == [Reading(1), Reading(2), Reading(3)]
    assert len(errors) == 1
    assert errors[0].startswith("changed: 'thermo' triggered 'changed' with other data: Expected `float`")


def test_a_sender_with_types_refuses_what_nobody_would_hear(router: sig.Router) -> None:
    sender = router.add_sender("thermo", {"changed": Reading})
    for _ in range(2):
        sender.trigger("changed", Reading(1))
        router.flush()  # the sender knows by now that nobody listens
    with pytest.raises(sig.InvalidData, match="event 'changed' of sender 'thermo' takes Reading"):
        sender.trigger("changed", {"celsius": "warm"})


class Entry(msgspec.Struct):
    number: int
    text: str = ""
    more: Any = None


def test_small_and_large_instances_and_dicts_come_in_order(router: sig.Router) -> None:
    heard: SimpleQueue[Entry] = SimpleQueue()
    with sig.connect("local://types") as other:

        @other.on("log", "entry")
        def hear(info: sig.Info, data: Entry) -> None:
            heard.put(data)

        sender = router.add_sender("log", {"entry": Entry})
        trigger = sender.signal("entry").trigger
        entries = [Entry(number, "x" * (10_000 if number % 50 == 49 else 1)) for number in range(300)]
        for entry in entries:
            trigger(entry if entry.number % 2 else {"number": entry.number, "text": entry.text})
        with pytest.raises(sig.InvalidData, match="JSON cannot carry this Entry"):
            trigger(Entry(1, more=object()))
        with pytest.raises(sig.InvalidData, match="takes Entry"):
            trigger({"number": "one"})
        router.flush()
        assert [heard.get(timeout=LIMIT_S) for _ in entries] == entries
        sender.remove()
        with pytest.raises(sig.SenderNotConnected):
            trigger(entries[0])
    assert heard.empty()


def test_parameters_that_do_not_fit_are_refused_as_such(router: sig.Router) -> None:
    with sig.connect("local://types") as other:
        other.add_sender("thermo", requests=[raise_by])
        assert router.request("thermo", "raise_by", 5) == 6
        with pytest.raises(sig.RequestFailed, match="request 'raise_by' takes float: Expected `float`") as refused:
            router.request("thermo", "raise_by", "five")
    assert type(refused.value) is sig.RequestFailed
    assert refused.value.code == "invalid_params"


def test_a_part_that_is_not_as_its_handler_says_is_told_to_its_owner(router: sig.Router) -> None:
    def give(params: list[object]) -> Iterator[int]:
        yield from params  # type: ignore[misc]  # perhaps

    with sig.connect("local://types") as other:
        told = Told(other)
        other.add_sender("table", requests={"rows": give})
        parts = router.stream("table", "rows", [1, "two", 3])
        assert next(parts) == 1
        with pytest.raises(
            sig.RemoteError, match="says that it gives parts of int: Expected `int`, got `str`"
        ) as error:
            next(parts)
        assert error.value.type == "TypeError"
        [sentence] = told.settled()
        assert sentence.startswith("rows: handler ")
