"""`sig trigger`."""

from __future__ import annotations

import sig
from sig.cli import errors, values
from sig.cli.options import Codec, Url, Words

EXAMPLES = """Examples:

    sig trigger lab/oven done                         without data
    sig trigger lab/oven done minutes=12 name=bread   {"minutes": 12, ...}
    sig trigger lab/oven done '{"minutes": 12}'       JSON, quoted as a whole
    producer | sig trigger lab/oven line -            one for each line of JSON
"""


def trigger(sender: str, event: str, /, *data: Words, codec: Codec = "json", url: Url = None) -> int:
    """Trigger an event, as a sender that comes and leaves with it.

    It ends when the server has passed on all that was triggered.

    Parameters
    ----------
    sender
        the sender's name, which nobody else may hold at that time
    event
        the event's name
    """
    found = values.given(data)
    with (
        sig.connect(url, codec=codec, reconnect=False, name="sig trigger") as router,
        router.add_sender(sender, event) as held,
    ):
        signal = held.signal(event)
        for value in found:
            signal.trigger(value)
        router.flush()
    return errors.ANSWERED
