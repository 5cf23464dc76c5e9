"""`sig senders`."""

from __future__ import annotations

import sig
from sig.cli import errors
from sig.cli.options import Codec, Json, Url
from sig.cli.output import Output

EXAMPLES = """Examples:

    sig senders
    sig senders 'lab/**'                       those below lab/
    sig senders | jq -r .name                  one JSON object a line when piped
"""


def senders(pattern: str | None = None, /, *, json: Json = False, codec: Codec = "json", url: Url = None) -> int:
    """List who is there: events, requests, since when, from where.

    Parameters
    ----------
    pattern
        a name or pattern; everybody without it
    """
    with sig.connect(url, codec=codec, reconnect=False, name="sig senders") as router:
        Output(json).senders(router.senders(pattern))
    return errors.ANSWERED
