"""Hello, in one process: a sender, a listener, a request."""

import sig

with sig.Router() as router:

    @router.on("thermostat", "changed")
    def on_change(info, data):
        print(info.sender, info.event, data)

    thermostat = router.add_sender("thermostat", events=["changed"], requests={"read": lambda params: 21.5})
    print(router.request("thermostat", "read"))
    thermostat.trigger("changed", {"celsius": 21.5})
