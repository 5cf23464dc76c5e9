"""The asyncio face: the same names, awaited where they wait; server and client in one loop here."""

import asyncio

import sig
import sig.aio


async def main():
    async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as client:

        async def read(params):
            await asyncio.sleep(0)  # whatever has to be waited for; other requests go on meanwhile
            return 21.5

        async with server.add_sender("probe", events=["reading"], requests={"read": read}) as probe:
            print(await client.request("probe", "read"))

            # Several requests under way, in one task.
            answers = [client.start_request("probe", "read") for _ in range(3)]
            print(await asyncio.gather(*answers))

            async with client.events("probe", "reading") as events:
                reading = probe.signal("reading")
                for value in (1, 2, 3):
                    reading.trigger(value)  # never waits: it leaves at the end of this turn of the loop
                await reading.drain()  # in a loop without end: waits until there is room
                async for info, value in events:
                    print(info.sender, value)
                    if value == 3:
                        break

        try:
            await client.request("probe", "read")
        except sig.SenderNotConnected as error:
            print(error)


asyncio.run(main())
