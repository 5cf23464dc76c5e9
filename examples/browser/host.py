"""A router with a web page of its own: prints where to point a browser. Ctrl-C ends it.

The page may connect because its origin is listed; pages of other sites may not.
"""

import itertools
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import sig


class Pages(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


pages = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=Path(__file__).parent))
Thread(target=pages.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{pages.server_port}"

with pages, sig.serve("ws://127.0.0.1:0", origins=[origin]) as router:
    oven = router.add_sender("oven", events=["changed"], requests={"read": lambda params: 20})

    @router.on(event="said")
    def said(info, words):
        print(f"{info.sender}: {words}", flush=True)

    print(f"{origin}/index.html?router={router.urls[0]}", flush=True)
    try:
        for celsius in itertools.count(20):
            oven.trigger("changed", {"celsius": celsius})
            if router.wait(1):
                break
    except KeyboardInterrupt:
        print("bye")
    pages.shutdown()
