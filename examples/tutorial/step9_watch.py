import sys
from threading import Event

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"
left = Event()

with sig.connect(url) as client:

    @client.on(None, sig.EVENT_CONNECT)
    def arrived(info, data):
        print(info.sender, "has come:", data["events"], data["requests"], flush=True)

    @client.on(None, sig.EVENT_DISCONNECT)
    def gone(info, data):
        print(info.sender, "has gone:", data["reason"], flush=True)
        left.set()

    print("here already:", [sender.name for sender in client.senders()], flush=True)
    left.wait()
