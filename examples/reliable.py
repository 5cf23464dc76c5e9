"""A link is cut in the middle of a stream of events, three times. With reliable=True nobody can tell."""

import logging
import threading

import sig
from sig.testing import Fault, Faults

logging.getLogger("sig").setLevel(logging.ERROR)  # each cut is a warning
COUNT = 10_000
heard = []
done = threading.Event()


def on_change(info, data):
    heard.append(data)
    if data == COUNT:
        done.set()


def on_gap(info, gap):
    print("missed", gap)


faults = Faults(received=Fault(cut_at=2000), links=3)  # each of the first three links, after 2000 bytes
with sig.serve("tcp://127.0.0.1:0") as server:
    counter = server.add_sender("counter", "tick", requests={"double": lambda number: 2 * number})
    carrier = faults.upon(server.urls[0])
    with sig.connect(carrier, reliable=True, reconnect_first_s=0.01) as client:
        client.listen(on_change, "counter", "tick", on_gap=on_gap)
        for number in range(1, COUNT + 1):
            counter.trigger("tick", number)
        print("request", client.request("counter", "double", 21))
        done.wait()

print("links", faults.opened)
print("heard", len(heard), "in order, each once:", heard == list(range(1, COUNT + 1)))
