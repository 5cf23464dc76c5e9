"""The same over TCP: two lines differ. `hello_server.py` and `hello_client.py` have it in two programs."""

import sig

server = sig.serve("tcp://127.0.0.1:0")  # port 0: any that is free
with server, sig.connect(server.urls[0]) as router:

    @router.on("thermostat", "changed")
    def on_change(info, data):
        print(info.sender, info.event, data)

    thermostat = router.add_sender("thermostat", events=["changed"], requests={"read": lambda params: 21.5})
    print(router.request("thermostat", "read"))
    thermostat.trigger("changed", {"celsius": 21.5})
