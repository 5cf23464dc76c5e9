import sys
from threading import Event

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"
defrosted = Event()

with sig.connect(url) as client:

    @client.on("freezer", "temperature")
    def show(info, data):
        print(info.sender, data, flush=True)
        if data > 0:
            defrosted.set()

    print("listening", flush=True)
    defrosted.wait()
