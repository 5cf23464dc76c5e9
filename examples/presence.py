"""Presence: routers trigger `#connect` and `#disconnect` for every sender."""

import sig

with sig.Router() as router:

    @router.on("lab/*", sig.EVENT_CONNECT)
    def arrived(info, data):
        print(f"{info.sender} is here: events {data['events']}, requests {data['requests']}")

    @router.on("lab/*", sig.EVENT_DISCONNECT)
    def left(info, data):
        print(f"{info.sender} has left ({data['reason']})")

    laser = router.add_sender("lab/laser", events=["power"], requests={"stop": lambda params: None})
    with router.add_sender("lab/shutter", events=["open", "closed"]):
        print([sender.name for sender in router.senders("lab/*")])
    print(router.sender("lab/shutter").connected, router.sender("lab/laser").connected)
