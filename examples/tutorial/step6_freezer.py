import sys

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"

with sig.connect(url) as client:
    freezer = client.add_sender("freezer", events=["temperature"])
    for celsius in (-21.4, -20.9, 3.5):
        freezer.trigger("temperature", celsius)
