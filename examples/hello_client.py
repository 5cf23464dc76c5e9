"""Hello over TCP, second program: listens to the thermostat of `hello_server.py`, and sets it.

Run it as `python examples/hello_client.py tcp://127.0.0.1:3000`.
"""

import sys
from queue import Queue

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"
received = Queue()

with sig.connect(url) as client:
    # Listeners are called on a thread of the router's: this one hands over to the main thread.
    client.listen(lambda info, data: received.put((info.sender, info.event, data)), "thermostat", "changed")

    print(client.request("thermostat", "set", 22.5))
    print(*received.get(timeout=10))
