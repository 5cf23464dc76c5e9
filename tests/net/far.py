"""What runs on the machines of `apart`: `python far.py serve HOST SECONDS`, `python far.py listen URL SECONDS`.

Either triggers numbers, a hundred a second. It tells what it hears of the other as `[name, number]`, and what it is
told to have missed as `["gap", missed, reason]`; the client its states, too, as `["state", state]`, and what became of
its requests. SECONDS are the heartbeat's.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading

import sig

PAUSE_S = 0.01

_telling = threading.Lock()  # one line at a time


def tell(*told: object) -> None:
    with _telling:
        print(json.dumps(told), flush=True)


def hear(router: sig.Router, sender: str) -> None:
    router.listen(
        lambda info, data: tell(info.sender, data),
        sender,
        "number",
        on_gap=lambda info, gap: tell("gap", gap.missed, gap.reason),
    )


def count(router: sig.Router, name: str) -> None:
    """One after another, until the process ends."""
    sender = router.add_sender(name, "number", {"double": lambda number: 2 * number})
    for number in itertools.count():
        threading.Event().wait(PAUSE_S)
        sender.trigger("number", number)


def serve(host: str, seconds: float) -> None:
    server = sig.serve(f"tcp://{host}:0", insecure_public=True, heartbeat_timeout_s=seconds, presence_grace_s=600)
    tell("url", server.urls[0])
    hear(server, "client")
    count(server, "server")


def listen(url: str, seconds: float) -> None:
    client = sig.connect(url, heartbeat_timeout_s=seconds, connect_timeout_s=2, reconnect_longest_s=1)
    client.on_state = lambda state: tell("state", state)
    hear(client, "server")
    threading.Thread(target=ask, args=(client,), daemon=True).start()
    count(client, "client")


def ask(client: sig.ClientRouter) -> None:
    """One request after another, each of which has one answer or a reason."""
    for number in itertools.count():
        try:
            answer = client.request("server", "double", number)
        except (sig.ConnectionLost, sig.SenderNotConnected) as error:
            tell("unknown", type(error).__name__)
            client.wait_connected()
        else:
            assert answer == 2 * number
            tell("answer", answer)
        threading.Event().wait(10 * PAUSE_S)


if __name__ == "__main__":
    role, where, seconds = sys.argv[1:]
    {"serve": serve, "listen": listen}[role](where, float(seconds))
