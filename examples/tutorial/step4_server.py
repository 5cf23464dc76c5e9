import sys

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"

with sig.serve(url) as server:
    print("serving at", server.urls[0], flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        print("bye")
