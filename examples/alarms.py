"""A channel: one event that many senders share. Its name begins with `#`."""

import sig

with sig.Router() as router:

    @router.on(event="#alarm")
    def ring(info, data):
        print(f"ALARM from {info.sender}: {data}")

    pump = router.add_sender("plant/pump-3", events=["pressure", "#alarm"])
    door = router.add_sender("plant/door", events=["#alarm"])

    pump.trigger("pressure", 4.2)
    pump.trigger("#alarm", "no water")
    door.trigger("#alarm", "left open")
