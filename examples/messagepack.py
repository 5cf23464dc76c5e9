"""MessagePack instead of JSON: samples of a signal travel as the bytes they are."""

from array import array
from queue import Queue

import sig

with (
    sig.serve("tcp://127.0.0.1:0", codec="msgpack") as server,
    sig.connect(server.urls[0], codec="msgpack") as client,
):
    received = Queue()
    client.listen(lambda info, data: received.put(data), "scope", "trace")

    scope = server.add_sender("scope", events=["trace"])
    scope.trigger("trace", {"rate_hz": 48_000, "samples": array("f", [0.0, 0.5, 1.0, 0.5]).tobytes()})

    trace = received.get(timeout=10)
    print(type(trace["samples"]).__name__, "of", len(trace["samples"]))
    print(array("f", trace["samples"]).tolist())
