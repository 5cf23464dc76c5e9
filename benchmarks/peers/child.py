"""The child process: one role of one contestant, told what to do line by line on its standard input.

A line is `{"do": verb, "with": arguments, "limit": seconds}`; the answer, on standard output, is `{"result": ...}` or
`{"error": text}`. Standard input that ends means: close, and end.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from benchmarks.peers.roles import Role
from benchmarks.peers.tally import Tally

# How much longer than its limit a verb may take before this process ends itself, and how long closing may take.
GRACE_S = 5.0
CLOSE_S = 1.0


def build(module: str, role: str, arguments: dict[str, Any]) -> Role:
    """The role, with what JSON cannot carry made of what it can."""
    if "folder" in arguments:
        arguments["folder"] = Path(arguments["folder"])
    if "timing" in arguments:
        arguments["tally"] = Tally(arguments.pop("timing"))
    made = getattr(importlib.import_module(module), role)(**arguments)
    assert isinstance(made, Role)
    return made


def main() -> None:
    module, role, arguments, limit = sys.argv[1:]
    # Nobody but us writes where the answers go.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")

    # A child that hangs ends itself and shows where, even if nobody is left who could kill it.
    faulthandler.dump_traceback_later(float(limit) + GRACE_S, exit=True)
    try:
        actor = build(module, role, json.loads(arguments))
        answer(result=actor.hello())
    except Exception as error:
        traceback.print_exc()
        answer(error=f"{type(error).__name__}: {error}")
        return
    faulthandler.cancel_dump_traceback_later()
    orders: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=listen, args=(orders, actor), name="orders", daemon=True).start()
    while True:
        order = json.loads(orders.get())
        faulthandler.dump_traceback_later(order["limit"] + GRACE_S, exit=True)
        try:
            answer(result=getattr(actor, order["do"])(**order["with"]))
        except Exception as error:
            traceback.print_exc()
            answer(error=f"{type(error).__name__}: {error}")
        faulthandler.cancel_dump_traceback_later()


def listen(orders: SimpleQueue[str], actor: Role) -> None:
    """Hand on the orders; at their end close and end the process, whatever the main thread is doing."""
    for line in sys.stdin:
        orders.put(line)
    closing = threading.Thread(target=actor.close, name="close", daemon=True)
    closing.start()
    closing.join(CLOSE_S)
    os._exit(0)


if __name__ == "__main__":
    main()
