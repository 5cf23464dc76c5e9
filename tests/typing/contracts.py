"""What type checkers see of contracts, in both faces. Remarks say which lines are wrong, and how mypy calls that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, assert_type

import sig
import sig.aio


@dataclass
class Reading:
    celsius: float


class Thermostat(sig.Contract):
    changed: sig.EventOf[Reading]
    numbers: sig.EventOf[list[int] | None]

    def set_target(self, celsius: float) -> float:
        return celsius


class Scanner(sig.Contract):
    def scan(self, steps: int) -> Iterator[Reading]:
        for step in range(steps):
            yield Reading(step)

    def measure(self) -> Generator[float, None, Reading]:
        raise NotImplementedError


class AwaitedScanner(sig.aio.Contract):
    async def scan(self, steps: int) -> AsyncIterator[Reading]:
        yield Reading(steps)

    def measure(self) -> AsyncGenerator[float, None]:
        raise NotImplementedError


class Awaited(sig.aio.Contract):
    changed: sig.aio.EventOf[Reading]

    async def set_target(self, celsius: float) -> float:
        return celsius


def hear(info: sig.Info, data: Reading) -> None: ...


def hear_other(info: sig.Info, data: str) -> None: ...


async def hear_later(info: sig.Info, data: Reading) -> None: ...


def blocking(client: sig.ClientRouter) -> None:
    thermostat = client.add_sender("lab/thermostat", Thermostat(), retain=True)
    assert_type(thermostat, Thermostat)
    assert_type(thermostat.changed.trigger, Callable[[Reading], None])
    thermostat.changed.trigger(Reading(21.5))
    thermostat.changed.trigger({"celsius": 21.5})  # wrong: arg-type
    thermostat.changed.trigger()  # wrong: call-arg
    thermostat.numbers.trigger([1, 2])
    thermostat.numbers.trigger(["1"])  # wrong: list-item
    thermostat.change.trigger(Reading(1))  # wrong: attr-defined
    assert_type(thermostat.sender, sig.SenderView)
    with client.add_sender("second", Thermostat()) as second:
        assert_type(second, Thermostat)

    proxy = client.sender("lab/thermostat").typed(Thermostat, timeout=2)
    assert_type(proxy, Thermostat)
    assert_type(proxy.set_target(22.0), float)
    proxy.set_target("warm")  # wrong: arg-type
    proxy.set_targets(22.0)  # wrong: attr-defined
    assert_type(proxy.changed.listen(hear), sig.Subscription)
    proxy.changed.listen(hear_later, queue=5)
    proxy.changed.listen(hear_other)  # wrong: arg-type
    proxy.changed.listen(lambda info, data: print(info.sender, data.celsius))
    proxy.changed.listen(lambda info, data: print(data.kelvin))  # wrong: attr-defined
    assert_type(proxy.changed.events(), sig.Events)

    sender = client.add_sender("plain", {"changed": Reading}, [len])
    assert_type(sender, sig.Sender)
    client.add_sender("mixed", Thermostat(), [len])  # wrong: call-overload
    client.sender("lab/thermostat").typed(Reading)  # wrong: type-var


def blocking_parts(client: sig.ClientRouter) -> Reading:
    scanner = client.sender("lab/scanner").typed(Scanner)
    for part in scanner.scan(3):
        assert_type(part, Reading)
    scanner.scan("three")  # wrong: arg-type
    with closing(scanner.measure()) as parts:
        assert_type(next(parts), float)
        print(next(parts).celsius)  # wrong: attr-defined

    def whole() -> Generator[float, None, Reading]:
        result = yield from scanner.measure()
        assert_type(result, Reading)
        return result

    for number in whole():
        assert_type(number, float)
    return scanner.scan(3)  # wrong: return-value


async def awaited_parts(client: sig.aio.ClientRouter) -> None:
    scanner = client.sender("lab/scanner").typed(AwaitedScanner)
    async for part in scanner.scan(3):
        assert_type(part, Reading)
    await scanner.scan(3)  # wrong: misc
    async with aclosing(scanner.measure()) as parts:
        assert_type(await anext(parts), float)


async def awaited(client: sig.aio.ClientRouter) -> None:
    thermostat = await client.add_sender("lab/thermostat", Awaited())
    assert_type(thermostat, Awaited)
    thermostat.changed.trigger(Reading(21.5))
    thermostat.changed.trigger(21.5)  # wrong: arg-type
    assert_type(thermostat.sender, sig.aio.SenderView)
    async with client.add_sender("second", Awaited()) as second:
        assert_type(second, Awaited)

    proxy = client.sender("lab/thermostat").typed(Awaited)
    assert_type(await proxy.set_target(22.0), float)
    await proxy.set_target([])  # wrong: arg-type
    assert_type(await proxy.changed.listen(hear_later), sig.Subscription)
    proxy.changed.listen(hear_other)  # wrong: arg-type
    async for _, data in proxy.changed.events():
        assert_type(data, object)

    sender = await client.add_sender("plain", "changed")
    assert_type(sender, sig.aio.Sender)


def typed_options(router: sig.Router) -> None:
    answer: Any = router.request("s", "m", type=Reading)
    router.listen(hear, "s", "e", type=Reading)
    print(answer)
