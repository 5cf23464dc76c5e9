"""Listeners and request handlers may be `async def`: they run on the loop in which they registered."""

import asyncio

import sig


async def main():
    done = asyncio.Event()

    async def on_reading(info, data):
        await asyncio.sleep(0)  # whatever has to be waited for; the next event waits behind this one
        print(info.sender, data)
        if data == "end":
            done.set()

    async def read(params):
        await asyncio.sleep(0)
        return 21.5

    with sig.Router() as router:
        router.listen(on_reading, "probe", "reading")
        probe = router.add_sender("probe", events=["reading"], requests={"read": read})

        for value in (1, 2, "end"):
            probe.trigger("reading", value)  # puts it into the listener's queue and returns
        print("triggered")
        await done.wait()

        # The router's own calls block: ask from a thread, so that the loop is free to answer.
        print(await asyncio.to_thread(router.request, "probe", "read"))


asyncio.run(main())
