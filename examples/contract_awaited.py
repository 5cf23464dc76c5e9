"""A contract in asyncio: its methods are awaited."""

import asyncio

import sig.aio


class Counter(sig.aio.Contract):
    counted: sig.aio.EventOf[int]

    def __init__(self) -> None:
        self.total = 0

    async def add(self, number: int = 1) -> int:
        self.total += number
        self.counted.trigger(self.total)
        return self.total


async def main() -> None:
    async with sig.aio.serve("local://shop") as server, sig.aio.connect("local://shop") as client:
        await server.add_sender("visitors", Counter())
        visitors = client.sender("visitors").typed(Counter)
        async with visitors.counted.events() as counted:
            print(await visitors.add(), await visitors.add(5))
            print([(await counted.get(timeout=10)).data for _ in range(2)])


asyncio.run(main())
