"""The sig side of `other_language_client.py`: greets its guest, and lets it work."""

from threading import Event

import sig

gone = Event()

with sig.serve("tcp://127.0.0.1:0") as server:
    host = server.add_sender("host", events=["said"], requests={"add": sum})

    @server.on("guest", "hello")
    def welcome(info, data):
        doubled = server.request("guest", "double", 21)
        host.trigger("said", f"welcome, {data['from']}: twice 21 is {doubled}")

    @server.on("guest", sig.EVENT_DISCONNECT)
    def goodbye(info, data):
        print("the guest has left:", data["reason"])
        gone.set()

    print(server.urls[0], flush=True)
    gone.wait(30)
