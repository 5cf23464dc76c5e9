"""`sig health`."""

from __future__ import annotations

import time
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

import sig
from sig.carriers.address import default_url
from sig.cli import errors, output
from sig.cli.options import Codec
from sig.cli.tables import printable

EXAMPLES = """Examples:

    sig health                                      of the server at $SIG_URL
    sig health tcp://127.0.0.1:3000 && echo fine    exit code 0: it answers
    sig health --timeout 1 --json                   one JSON object in any case
"""

# The server's own router and this command are no clients, to whoever asks.
_OURSELVES: Final = 2


def health(
    url: str | None = None,
    /,
    *,
    timeout: Annotated[float, Parameter(help="seconds to wait for its answers", validator=Number(gt=0))] = 5.0,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="print one JSON object")] = False,
    codec: Codec = "json",
) -> int:
    """Tell whether a server answers, in one line and an exit code.

    A server that is ending lets nobody in any more, so it does not.

    Parameters
    ----------
    url
        the server; without it, $SIG_URL or tcp://127.0.0.1:3000
    """
    url = url or default_url()
    begun = time.monotonic()
    found: dict[str, object] = {"url": url, "healthy": False}
    code = errors.ANSWERED
    try:
        with sig.connect(url, codec=codec, reconnect=False, name="sig health", timeout=timeout) as router:
            router.flush(timeout)
            found["healthy"] = True
            found["answer_s"] = round(time.monotonic() - begun, 6)
            try:
                totals = router.stats(0).totals
            except sig.Denied:
                pass  # that it answers is all that we may know
            else:
                found["clients"] = max(0, totals.clients - _OURSELVES)
                found["senders"] = totals.senders
                found["memory_bytes"] = totals.memory_bytes
    except sig.SigError as error:
        if not json:
            raise
        found["error"] = errors.sentence(error)
        found["healthy"] = False
        code = errors.exit_code(error)
    print(output.as_json(found) if json else _sentence(found))
    return code


def _sentence(found: dict[str, object]) -> str:
    answer_s = found["answer_s"]
    assert isinstance(answer_s, float)
    text = f"{found['url']} answers within {answer_s * 1000:.1f} ms"
    if "clients" in found:
        text += f"; clients: {found['clients']}, senders: {found['senders']}, waiting bytes: {found['memory_bytes']}"
    return printable(text)
