"""A server is started again under its client, which comes back by itself and says what it missed."""

import logging
import threading

import sig

logging.getLogger("sig").setLevel(logging.ERROR)  # each attempt is a warning
back = threading.Event()
heard = threading.Event()


def on_change(info, data):
    print("heard", data)
    heard.set()


def on_state(state):
    print("the link is", state)
    if state == "connected":
        back.set()


server = sig.serve("tcp://127.0.0.1:0")
url = server.urls[0]
with sig.connect(url, reconnect_first_s=0.05) as client:
    client.on_state = on_state
    client.listen(on_change, "thermostat", "changed")
    heater = client.add_sender("heater", requests={"power": lambda params: params})
    server.add_sender("thermostat", "changed").trigger("changed", 20.5)
    heard.wait()

    server.close()
    with sig.serve(url) as server:
        back.wait()  # its listener and its sender are there again
        print("power", server.request("heater", "power", 3))
        heard.clear()
        server.add_sender("thermostat", "changed").trigger("changed", 21.5)
        heard.wait()
        client.on_state = None
