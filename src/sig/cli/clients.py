"""`sig clients` and `sig kick`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

import sig
from sig.cli import errors
from sig.cli.options import Json, Url
from sig.cli.output import Output, as_json, complain
from sig.cli.tables import of_texts

EXAMPLES = """Examples:

    sig clients
    sig clients | jq -r 'select(.identity == "anonymous") | .address'

Where the server has a policy, this takes the right to admin.
"""
KICK_EXAMPLES = """Examples:

    sig kick 17                            the client of that number
    sig kick alice --reason "too loud"     all links of that identity

They may come back. To keep somebody out, take away what it logs in with (sig
token --revoke): that ends its links, too.
"""


def clients(*, json: Json = False, url: Url = None) -> int:
    """List who is connected to a server, as whom, and from where."""
    with sig.connect(url, reconnect=False, name="sig clients") as router:
        rows = router.clients()
    output = Output(json)
    if output.json:
        for row in rows:
            print(as_json(row._asdict()), flush=True)
        return errors.ANSWERED
    heads = ("client", "identity", "by", "name", "address", "expires", "senders", "listens")
    Console(highlight=False).print(of_texts(heads, [_cells(row) for row in rows]))
    return errors.ANSWERED


def _cells(row: sig.ClientInfo) -> list[str]:
    until = "" if row.expires is None else datetime.fromtimestamp(row.expires, UTC).isoformat(" ", "seconds")
    by = "" if row.source == "none" else row.source
    senders = ", ".join(row.senders)
    return [str(row.client), row.identity, by, row.name, row.address, until, senders, str(row.subscriptions)]


def kick(
    who: str,
    /,
    *,
    reason: Annotated[str, Parameter(show_default=False, help="what they are told")] = "",
    url: Url = None,
) -> int:
    """Send a client away, or all of an identity.

    It prints how many there were; where there was none the exit code is 1.

    Parameters
    ----------
    who
        the number of a client, or the name of an identity
    """
    with sig.connect(url, reconnect=False, name="sig kick") as router:
        found = router.kick(int(who) if who.isdecimal() else who, reason)
    print(found)
    if not found:
        complain(f"no client is {who!r}; `sig clients` lists who is connected, by number and as whom")
    return errors.ANSWERED if found else errors.FAILED
