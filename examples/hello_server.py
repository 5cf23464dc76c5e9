"""Hello over TCP, first program: a server with a thermostat. Ctrl-C ends it.

Run it as `python examples/hello_server.py tcp://127.0.0.1:3000`.
"""

import sys

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"

with sig.serve(url) as server:

    def set_target(params):
        thermostat.trigger("changed", {"celsius": params})
        return "done"

    thermostat = server.add_sender("thermostat", events=["changed"], requests={"set": set_target})
    print("serving at", server.urls[0], flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        print("bye")
