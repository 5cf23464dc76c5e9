"""A router whose pages log in, as `panel` with password `glass`: prints where to point a browser. Ctrl-C ends it."""

import secrets
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import sig
from sig.security import Credentials, Policy, Secret, allow
from sig.security.credentials import Credential
from sig.security.proof import Cost, password_key, verifier


class Pages(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


pages = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=Path(__file__).parent))
Thread(target=pages.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{pages.server_port}"
policy = Policy([allow("panel", ["listen", "request"], "oven")])

with pages, tempfile.TemporaryDirectory() as folder:
    # What `sig token tokens.toml panel --password` does.
    salt, cost = secrets.token_bytes(16), Cost()
    known = Credentials(Path(folder, "tokens.toml"))
    known.save(
        [Credential("panel", "panel", verifier(password_key(Secret("glass"), salt, cost)), salt=salt, cost=cost)]
    )

    with sig.serve("ws://127.0.0.1:0", origins=[origin], auth=known, acl=policy) as router:
        oven = router.add_sender(
            "oven", ["changed"], {"read": lambda params: 20, "heat": lambda params: print("heating")}
        )
        print(f"{origin}/login.html?router={router.urls[0]}", flush=True)
        try:
            router.wait()
        except KeyboardInterrupt:
            print("bye")
    pages.shutdown()
