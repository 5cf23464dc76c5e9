"""`sig demo`."""

from __future__ import annotations

import importlib.util
from typing import Annotated

from cyclopts import Parameter

from sig.cli import errors
from sig.cli.options import Json
from sig.cli.output import complain
from sig.cli.signals import sigterm_interrupts

EXAMPLES = """Examples:

    sig demo
    sig demo --seconds 60 --folder ~/Downloads
    sig demo --seconds 5 --json                only the summary, for programs

It ends with code 0 if all came as expected, and else with 1 and a sentence.
"""


def demo(
    *,
    seconds: Annotated[float, Parameter(help="how long, at least 4")] = 20,
    folder: Annotated[
        str | None, Parameter(help="the folder to watch; else a temporary one, in which the demo changes files")
    ] = None,
    json: Json = False,
    url: Annotated[str, Parameter(help="where its own server listens; port 0 takes a free one")] = "tcp://127.0.0.1:0",
) -> int:
    """See it run: a server, two senders, and a listener.

    One process sends this machine's metrics, the other the changes in a folder. At
    half time the second is killed and started again.
    """
    for name in ("psutil", "watchfiles"):
        if importlib.util.find_spec(name) is None:
            complain(f"the demo needs {name!r}, which is not here: pip install 'pysig[demo]'")
            return errors.USAGE
    from sig.demo.run import run

    with sigterm_interrupts():
        return run(seconds=seconds, folder=folder, json=json, url=url)
