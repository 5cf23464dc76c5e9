"""A clock of one's own: what a router tells of time, and when a request's time is over."""

from __future__ import annotations

import asyncio

import pytest

import sig
import sig.aio
from sig.testing import Clock, capture


def test_times_are_those_of_the_clock() -> None:
    clock = Clock(wall=1000)
    with sig.Router(clock=clock) as router:
        clock.advance(1.5)
        sender = router.add_sender("s", "e")
        got = capture(router, "s", "e", meta=True)
        clock.advance(2)
        sender.trigger("e", 1)
        assert router.senders()[0].since == 1001.5
        assert got[0].info.time == 1003.5
        assert clock.now() == 3.5


def test_a_request_is_too_late_when_the_clock_says_so() -> None:
    clock = Clock()
    with sig.Router(clock=clock) as router:

        def work(seconds: float) -> object:
            clock.advance(seconds)
            return router.request("tool", "use")

        router.add_sender("tool", requests={"use": lambda params: "used"})
        router.add_sender("worker", requests={"work": work})
        assert router.request("worker", "work", 9.5, timeout=10) == "used"
        with pytest.raises(sig.RequestTimeout, match="'tool'"):
            router.request("worker", "work", 10, timeout=10)


def test_it_is_the_same_in_asyncio() -> None:
    async def main() -> None:
        clock = Clock()
        async with sig.aio.Router(clock=clock) as router:

            async def work(seconds: float) -> object:
                clock.advance(seconds)
                return await router.request("tool", "use")

            await router.add_sender("tool", requests={"use": lambda params: "used"})
            await router.add_sender("worker", requests={"work": work})
            assert await router.request("worker", "work", 29) == "used"
            with pytest.raises(sig.RequestTimeout):
                await router.request("worker", "work", 30)

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_it_does_not_go_back(seconds: float) -> None:
    with pytest.raises(sig.InvalidArgument, match="cannot be advanced"):
        Clock().advance(seconds)
