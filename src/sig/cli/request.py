"""`sig request`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

import sig
from sig.cli import errors, values
from sig.cli.options import Codec, Json, Url, Words
from sig.cli.output import Output

EXAMPLES = """Examples:

    sig request lab/laser read                            without parameters
    sig request lab/laser set_power mw=40                 {"mw": 40}
    sig request lab/laser set_power 40 --timeout 2        the number 40
    sig request lab/laser read | jq .mw                   one line of JSON
    seq 10 | sig request lab/laser set_power -            one for each line
    sig request --all 'lab/*' read                        all who match
    sig request --stream lab/computer primes below=1000   part by part

`sig senders` lists who answers which requests. The exit code tells what
happened: `sig --help` lists them.
"""


def request(
    sender: str,
    method: str,
    /,
    *params: Words,
    timeout: Annotated[
        float, Parameter(help="seconds to wait for the answer, or for each part", validator=Number(gt=0))
    ] = 30,
    all: Annotated[bool, Parameter(negative="", help="ask all that match SENDER, a pattern")] = False,
    stream: Annotated[bool, Parameter(negative="", help="print the answer part by part, as it comes")] = False,
    json: Json = False,
    codec: Codec = "json",
    url: Url = None,
) -> int:
    """Ask a sender, and print its answer.

    Parameters
    ----------
    sender
        the sender's name; with --all, a pattern
    method
        the request's name
    """
    if all and stream:
        raise sig.InvalidArgument("--all and --stream do not go together: stream from one sender at a time")
    found, output = values.given(params), Output(json)
    with sig.connect(url, codec=codec, reconnect=False, name="sig request") as router:
        if all:
            codes = [code for value in found for code in _ask_all(router, sender, method, value, timeout, output)]
            return next(filter(None, codes), errors.ANSWERED)
        for value in found:
            if stream:
                _take(router.stream(sender, method, value, idle=timeout), output)
                continue
            output.value(router.request(sender, method, value, timeout=timeout))
    return errors.ANSWERED


def _take(stream: sig.Stream, output: Output) -> None:
    """Print the parts of an answer, and what is behind them."""
    with stream as parts, output.parts() as show:
        for part in parts:
            show(part)
    output.result(parts.result)


def _ask_all(
    router: sig.ClientRouter, pattern: str, method: str, params: object, timeout: float, output: Output
) -> Iterator[int]:
    """Print who says what; gives the exit code of each."""
    replies = router.request_all(pattern, method, params, timeout=timeout)
    if not replies:
        nobody = sig.SenderNotConnected(pattern)
        nobody.args = (f"nobody who answers requests matches {pattern!r}",)
        raise nobody
    for reply in replies:
        if reply.error is None:
            output.reply(reply.sender, reply.value)
            yield errors.ANSWERED
        elif isinstance(reply.error, sig.SigError):
            output.refusal(reply.sender, errors.sentence(reply.error))
            yield errors.exit_code(reply.error)
        else:
            raise reply.error
