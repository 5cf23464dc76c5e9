"""What the demo's two senders have in common: they connect, and end with their server or on a signal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import sig
from sig.cli.signals import until_signal


def send(url: str, work: Callable[[sig.ClientRouter, threading.Event], object]) -> int:
    """Connect, let `work` send until the event is set, and leave; returns the exit code.

    The event is set on Ctrl-C, on SIGTERM and when the link goes: so no sender outlives its server, however that ends.
    """
    try:
        with until_signal() as ended, sig.connect(url, name=work.__module__) as router:
            router.on_disconnected = ended.set
            if router.state == "connected":  # else it went before we could be told
                work(router, ended)
    except sig.ConnectionLost:
        pass  # the server has gone, and nobody is left to tell
    except sig.SigError as error:
        print(f"sig demo: {error}", file=sys.stderr)
        return 1
    return 0
