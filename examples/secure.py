"""TLS in both directions: the client knows the server by its certificate, and the server lets in whom it knows."""

import tempfile
import threading
from pathlib import Path

import sig
from sig.certs import make

with tempfile.TemporaryDirectory() as folder:  # `sig certs FOLDER` does the same, and you keep what it makes
    made = make(Path(folder), hosts=["localhost"], clients=["lab-1"], days=1)
    ca, shown, own = made.authority.cert, made.server, made.clients[0]

    with sig.serve("tls://localhost:0", tls=sig.TLS(cert=shown.cert, key=shown.key, ca=ca)) as server:
        url = server.urls[0]
        heard = threading.Event()

        @server.on("oven", "done")
        def on_done(info, data):
            print(info.sender, data)
            heard.set()

        with sig.connect(url, tls=sig.TLS(ca=ca, cert=own.cert, key=own.key)) as client:
            client.add_sender("oven", "done").trigger("done", {"minutes": 12})
            heard.wait(10)

        try:
            sig.connect(url, tls=sig.TLS(ca=ca))  # shows no certificate of its own
        except sig.HandshakeRefused as error:
            print(error)
