"""Contracts: what a class says of a sender, an object that is one, and proxies of the same type."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import sig
from sig.contract import terms_of

if TYPE_CHECKING:
    from decimal import Decimal


class Reading(msgspec.Struct):
    celsius: float


class Thermostat(sig.Contract):
    """What all thermostats offer."""

    changed: sig.EventOf[Reading]
    plain: sig.EventOf[Any]
    limit: float = 30.0
    other: Decimal  # not of the contract, and nobody need find it

    def set_target(self, celsius: float, unit: str = "C") -> float:
        raise NotImplementedError

    def read(self) -> Reading:
        raise NotImplementedError

    def stop(self, *, hard: bool = False) -> None: ...

    def echo(self, value): ...  # type: ignore[no-untyped-def]  # no types, on purpose

    def _own(self) -> None: ...

    @property
    def colour(self) -> str:
        return "red"


class Oven(Thermostat):
    """One of them."""

    target = 0.0

    def set_target(self, celsius: float, unit: str = "C") -> float:
        self.target = celsius
        self.changed.trigger(Reading(celsius))
        self.plain.trigger(unit)
        return celsius

    def read(self) -> Reading:
        return Reading(self.target)

    def echo(self, value: object) -> object:
        return value

    def burn(self) -> str:
        """Nobody may ask for that."""
        return "smoke"


class Timed(Oven, sig.Contract):
    """More than a thermostat."""

    done: sig.EventOf[int]

    async def wait_for(self, minutes: int) -> str:
        return f"after {minutes}"


class Colder(sig.Contract):
    changed: sig.EventOf[int]

    def set_target(self, kelvin: int, unit: int = 1) -> str: ...

    def read(self): ...  # type: ignore[no-untyped-def]  # no type, on purpose

    def echo(self, value: int) -> int: ...

    def absent(self) -> None: ...


@pytest.fixture
def oven(router: sig.Router) -> Oven:
    return router.add_sender("oven", Oven())


# -- what a contract says ------------------------------------------------------------------------


def test_annotations_are_events_and_public_methods_requests() -> None:
    terms = terms_of(Thermostat)
    assert {name: kind for name, (_, kind) in terms.events.items()} == {"changed": Reading, "plain": Any}
    assert list(terms.requests) == ["set_target", "read", "stop", "echo"]
    assert terms_of(Thermostat) is terms


def test_what_a_class_adds_to_a_contract_is_its_own_unless_it_says_otherwise() -> None:
    assert terms_of(Oven).events == terms_of(Thermostat).events
    assert list(terms_of(Oven).requests) == list(terms_of(Thermostat).requests)
    timed = terms_of(Timed)
    assert list(timed.events) == ["changed", "plain", "done"]
    assert list(timed.requests) == ["set_target", "read", "stop", "echo", "wait_for"]


def broken(**members: Any) -> type[sig.Contract]:
    return type("Broken", (sig.Contract,), {"__module__": __name__, **members})


class Own: ...


def many(self: object, *values: int) -> None: ...


def own(self: object, value: Own) -> None: ...


def gives_own(self: object) -> Own: ...


def own_parts(self: object) -> Iterator[Own]:
    yield Own()


async def awaited_twice(self: object) -> AsyncIterator[int]:
    raise NotImplementedError


def unknown(self: object, value: Decimal) -> None: ...


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"m": many}, r"parameter \*values: 'int' of Broken\.m has no name to travel by"),
        ({"m": own}, r"the parameters of Broken\.m have types without a form in JSON"),
        ({"m": gives_own}, r"the answer of Broken\.m have types without|the answer of Broken\.m has"),
        ({"m": own_parts}, r"the parts of the answer of Broken\.m have types without a form in JSON"),
        ({"m": awaited_twice}, r"Broken\.m is awaited for parts that are awaited: write it with def, or with a yield"),
        ({"m": unknown}, r"the types of Broken\.m cannot be found at run time \(name 'Decimal' is not defined\)"),
        ({"__annotations__": {"e": "sig.EventOf[Decimal]"}}, r"the types of Broken\.e cannot be found at run time"),
        ({"sender": lambda self: None}, r"Broken\.sender has a name that contracts have already"),
    ],
)
def test_what_cannot_be_told_to_others_is_no_contract(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(sig.InvalidArgument, match=sentence):
        terms_of(broken(**members))


def test_an_event_may_have_no_type() -> None:
    assert terms_of(broken(__annotations__={"e": sig.EventOf})).events == {"e": (sig.EventOf, None)}


# -- the owner -----------------------------------------------------------------------------------


def test_an_object_becomes_a_sender(router: sig.Router, oven: Oven) -> None:
    assert oven.sender.connected
    [row] = router.senders()
    assert (row.name, row.events, row.requests) == (
        "oven",
        ["changed", "plain"],
        ["set_target", "read", "stop", "echo"],
    )
    assert row.schema is not None
    assert row.schema["requests"]["read"]["params"] == {"type": "null"}
    assert repr(oven.changed) == "<EventOf 'changed' of 'oven'>"


def test_it_triggers_its_events_checked(router: sig.Router, oven: Oven) -> None:
    heard: list[object] = []
    router.listen(lambda info, data: heard.append(data), "oven", "*")
    oven.changed.trigger(Reading(1))
    trigger = oven.plain.trigger
    trigger([2])
    with pytest.raises(sig.InvalidData, match="event 'changed' of sender 'oven' takes Reading"):
        oven.changed.trigger(None)  # type: ignore[arg-type]  # the mistake in question
    assert heard == [Reading(1), [2]]


def test_its_methods_answer_with_their_parameters_by_name(router: sig.Router, oven: Oven) -> None:
    assert router.request("oven", "set_target", {"celsius": 5}) == 5.0
    assert router.request("oven", "stop") is None
    assert router.request("oven", "stop", {}) is None
    for params, sentence in (
        ({"celsius": "hot"}, r"takes Parameters: Expected `float`, got `str` - at `\$\.celsius`"),
        ({}, "missing required field `celsius`"),
        ({"celsius": 1, "colour": "red"}, "unknown field `colour`"),
        (None, "Expected `object`, got `null`"),
    ):
        with pytest.raises(sig.RequestFailed, match=sentence) as refused:
            router.request("oven", "set_target", params)
        assert refused.value.code == "invalid_params"
    with pytest.raises(sig.RequestFailed, match="takes NoneType: Expected `null`"):
        router.request("oven", "read", {"a": 1})
    with pytest.raises(sig.MethodNotFound):
        router.request("oven", "burn")


def test_a_method_may_be_awaited(router: sig.Router) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        router.add_sender("oven", Timed(), loop=loop)
        assert router.request("oven", "wait_for", {"minutes": 5}) == "after 5"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_what_is_no_sender_yet_says_so() -> None:
    oven = Oven()
    for missing in (lambda: oven.changed, lambda: oven.sender):
        with pytest.raises(AttributeError, match="this Oven is no sender yet: give it to add_sender first"):
            missing()
    with pytest.raises(AttributeError, match="'Oven' object has no attribute 'nothing'"):
        oven.nothing  # type: ignore[attr-defined]  # noqa: B018  the mistake in question
    assert not hasattr(oven, "_private")


def test_one_object_is_one_sender_at_a_time(router: sig.Router, oven: Oven) -> None:
    with pytest.raises(sig.InvalidArgument, match="this Oven is sender 'oven' already: make another"):
        router.add_sender("second", oven)
    with oven as entered:
        assert entered is oven
    assert router.senders() == []
    assert router.add_sender("second", oven).sender.name == "second"


def test_a_name_that_is_taken_leaves_it_as_it_was(router: sig.Router, oven: Oven) -> None:
    other = Oven()
    with pytest.raises(sig.SenderAlreadyConnected):
        router.add_sender("oven", other)
    assert not hasattr(other, "changed")
    assert not hasattr(other, "sender")


def test_a_contract_says_its_requests_itself(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match="the contract of sender 's' says what it answers: leave requests="):
        router.add_sender("s", Oven(), [len])  # type: ignore[call-overload]  # the mistake in question
    with pytest.raises(sig.InvalidArgument, match="neither events nor requests"):
        router.add_sender("s", broken()())


def test_its_last_values_may_be_retained(router: sig.Router) -> None:
    oven = router.add_sender("oven", Oven(), retain=["changed"])
    oven.changed.trigger(Reading(3))
    last = router.last("oven", "changed")
    assert last is not None
    assert last.data == Reading(3)


# -- proxies -------------------------------------------------------------------------------------


def test_a_proxy_asks_and_listens_as_the_contract_says(router: sig.Router, oven: Oven) -> None:
    proxy = router.sender("oven").typed(Thermostat)
    assert isinstance(proxy, Thermostat)
    assert repr(proxy) == "<proxy of 'oven': Thermostat>"
    heard: list[Reading] = []
    proxy.changed.listen(lambda info, data: heard.append(data))

    @proxy.changed.on(once=True)
    def once(info: sig.Info, data: Reading) -> None:
        heard.append(data)

    events = proxy.changed.events()
    assert proxy.set_target(5) == 5.0
    assert proxy.set_target(6, unit="K") == 6.0
    assert [each.data for each in events.take()] == [Reading(5), Reading(6)]
    assert proxy.read() == Reading(6)
    assert proxy.echo({"a": 1}) == {"a": 1}
    assert proxy.stop() is None  # type: ignore[func-returns-value]
    assert heard == [Reading(5), Reading(5), Reading(6)]
    assert proxy.sender.name == "oven"
    assert proxy.limit == 30.0


def test_a_proxy_refuses_what_python_would(router: sig.Router, oven: Oven) -> None:
    proxy = router.sender("oven").typed(Thermostat)
    for wrong in (
        lambda: proxy.set_target(),  # type: ignore[call-arg]  # the mistake in question
        lambda: proxy.set_target(1, colour="red"),  # type: ignore[call-arg]
        lambda: proxy.stop(True),  # type: ignore[misc]
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(sig.Denied, match="only the owner of sender 'oven' may trigger 'changed'"):
        proxy.changed.trigger(Reading(1))


def test_proxies_of_a_class_share_theirs(router: sig.Router) -> None:
    first, second = (router.sender(name).typed(Thermostat) for name in "ab")
    assert type(first) is type(second)
    assert type(router.sender("a").typed(Oven)) is not type(first)
    with pytest.raises(sig.SenderNotConnected):
        first.read()


@pytest.mark.parametrize("wrong", [int, "Oven", Oven()])
def test_only_a_contract_has_proxies(router: sig.Router, wrong: Any) -> None:
    with pytest.raises(sig.InvalidArgument, match="is not a contract: give a class derived from sig.Contract"):
        router.sender("oven").typed(wrong)


def test_a_proxy_waits_as_long_as_it_is_told(router: sig.Router, oven: Oven) -> None:
    with pytest.raises(sig.InvalidArgument, match="timeout=-1 of request 'read'"):
        router.sender("oven").typed(Thermostat, timeout=-1).read()


@pytest.mark.parametrize("early", [False, True])
def test_who_has_another_contract_in_mind_is_told_once(router: sig.Router, early: bool) -> None:
    told: list[tuple[object, str, str]] = []
    router.on_error = lambda failed: told.append((failed.listener, failed.info.event, str(failed.error)))
    view = router.sender("oven")
    make: Callable[[], Colder] = functools.partial(view.typed, Colder)
    proxy = make() if early else None
    router.add_sender("oven", Oven())
    assert told == []
    proxy = proxy or make()
    for _ in range(2):
        with pytest.raises(sig.RequestFailed):
            proxy.set_target(5)
    make()
    sentence = "request 'set_target' of sender 'oven' "
    assert told == [
        (
            Colder.set_target,
            "set_target",
            f"{sentence}takes other parameters than Colder.set_target says: $.celsius is missing",
        ),
        (
            Colder.set_target,
            "set_target",
            f"{sentence}answers with other data than Colder.set_target says: $ is a number, not a string",
        ),
    ]


def test_nobody_is_told_of_what_is_not_known(router: sig.Router) -> None:
    told: list[object] = []
    router.on_error = told.append
    router.add_sender("untyped", "changed", {"set_target": lambda params: "x"})
    assert router.sender("untyped").typed(Colder).set_target(5) == "x"
    assert told == []


# -- answers in parts ----------------------------------------------------------------------------


class Scanner(sig.Contract):
    """What gives its answers in parts, said in every way there is."""

    def scan(self, steps: int) -> Generator[Reading, None, Reading]:
        raise NotImplementedError

    def scan_later(self) -> AsyncIterator[int]:
        raise NotImplementedError

    def anything(self):  # type: ignore[no-untyped-def]  # no types, on purpose
        yield from (1, "two")

    def wrong(self) -> Iterator[int]:
        yield "one"  # type: ignore[misc]  # the mistake in question


class Slow(Scanner):
    closed = False

    def scan(self, steps: int) -> Generator[Reading, None, Reading]:
        try:
            for step in range(steps):
                yield Reading(step)
        finally:
            self.closed = True
        return Reading(-1)

    async def scan_later(self) -> AsyncIterator[int]:
        for value in (1, 2):
            await asyncio.sleep(0)
            yield value


class Plain(Slow):
    """One whose answers fit no contract but its own."""

    def scan_later(self) -> Iterator[int]:  # type: ignore[override]  # not awaited, which callers need not know
        yield from (3, 4)


class OtherScanner(sig.Contract):
    def scan(self, steps: int) -> Iterator[str]:
        raise NotImplementedError


def test_a_contract_says_what_parts_are() -> None:
    said = {name: (asked.parts, asked.result, asked.awaited) for name, asked in terms_of(Scanner).requests.items()}
    assert said == {
        "scan": (Reading, Reading, False),
        "scan_later": (int, Any, True),
        "anything": (Any, Any, False),
        "wrong": (int, Any, False),
    }


def test_a_proxy_streams_parts_and_result_of_their_types(router: sig.Router) -> None:
    owner = router.add_sender("scanner", Plain())
    proxy = router.sender("scanner").typed(Scanner)
    stream: Any = proxy.scan(2)
    assert list(stream) == [Reading(0), Reading(1)]
    assert stream.result == Reading(-1)
    assert list(proxy.anything()) == [1, "two"]
    assert list(proxy.scan_later()) == [3, 4]  # type: ignore[call-overload]  # of the blocking face
    owner.closed = False
    with contextlib.closing(proxy.scan(2)) as scan:
        next(scan)
    assert owner.closed
    with pytest.raises(sig.RequestFailed, match="takes Parameters: Expected `int`, got `str`"):
        next(proxy.scan("many"))  # type: ignore[arg-type]  # the mistake in question
    with pytest.raises(TypeError, match="says that it gives parts of int: Expected `int`, got `str`"):
        next(proxy.wrong())


def test_what_is_awaited_by_its_owner_is_not_by_callers_of_this_face(router: sig.Router) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        router.add_sender("scanner", Slow(), loop=loop)
        assert list(router.sender("scanner").typed(Scanner).scan_later()) == [1, 2]  # type: ignore[call-overload]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_yield_from_a_proxy_is_worth_the_result(router: sig.Router) -> None:
    router.add_sender("scanner", Plain())
    proxy = router.sender("scanner").typed(Scanner)

    def whole() -> Generator[Reading, None, Reading]:
        return (yield from proxy.scan(1))

    results: list[Reading] = []

    def run() -> Iterator[Reading]:
        results.append((yield from whole()))

    assert list(run()) == [Reading(0)]
    assert results == [Reading(-1)]


def test_other_parts_are_told_to_whoever_has_another_contract(router: sig.Router) -> None:
    told: list[str] = []
    router.on_error = lambda failed: told.append(str(failed.error))
    router.add_sender("scanner", Plain())
    other = router.sender("scanner").typed(OtherScanner)
    with pytest.raises(sig.InvalidData, match="'scanner' answered 'scan' with other data: Expected `str`"):
        next(other.scan(1))
    [sentence] = told
    assert "request 'scan' of sender 'scanner' answers with other parts than OtherScanner.scan says:" in sentence
