"""Hello over TCP, second program: listens to the thermostat of `hello_server.py`, and sets it.

Run it as `python examples/hello_client.py tcp://127.0.0.1:3000`.
"""

import sys
from threading import Event

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"
changed = Event()

with sig.connect(url) as client:

    @client.on("thermostat", "changed")
    def on_change(info, data):
        print(info.sender, info.event, data)
        changed.set()

    print(client.request("thermostat", "set", 22.5))
    changed.wait(10)  # an event may come after an answer, even if it was triggered before
