"""A process of connections that say nothing: `python -m benchmarks.reliability.silent HOST PORT COUNT SEED`.

Whoever is sent away comes again some seconds later. Says `there` when each has come once, and ends with its parent.
"""

from __future__ import annotations

import asyncio
import random
import sys

from sig.drivers.descriptors import raise_limit

# So many come at once, and so many times a second: a server lets in 2,000 a second.
_AT_ONCE = 50
_PAUSE_S = 0.05
# When those who were sent away come again.
_AWAY_S = (5.0, 10.0)


class Silent(asyncio.Protocol):
    """One of them."""

    def __init__(self, again: asyncio.Event) -> None:
        self._again = again

    def connection_lost(self, error: Exception | None) -> None:
        self._again.set()


async def stay(host: str, port: int, chance: random.Random) -> None:
    loop = asyncio.get_running_loop()
    while True:
        gone = asyncio.Event()
        try:
            await loop.create_connection(lambda: Silent(gone), host, port)  # noqa: B023  # called at once
        except OSError:
            gone.set()
        await gone.wait()
        await asyncio.sleep(chance.uniform(*_AWAY_S))


async def main(host: str, port: int, count: int, seed: int) -> None:
    raise_limit()
    chance = random.Random(seed)
    tasks = []
    for number in range(count):
        tasks.append(asyncio.ensure_future(stay(host, port, chance)))
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(_PAUSE_S)
    print("there", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
