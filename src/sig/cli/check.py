"""`sig check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console

import sig
from sig.cli import errors
from sig.cli.options import Codec, Json, Url
from sig.cli.output import Output, as_json
from sig.cli.schema import Document, Offer, told
from sig.cli.tables import of_texts
from sig.info import SenderInfo
from sig.names import matches
from sig.schema import difference

EXAMPLES = """Examples:

    sig schema 'lab/**' > contract.json        write down what is offered
    sig check contract.json                    later: is it still?
    sig check contract.json | jq .difference   one JSON object for each

What is offered beyond the contract is no difference. Edit the file as you
like: names of senders may be patterns, and then hold for all that match.
"""


class Difference(NamedTuple):
    sender: str
    # `event changed`, `request set_target`; nothing for the sender itself.
    what: str
    difference: str


def check(contract: Path, /, *, json: Json = False, codec: Codec = "json", url: Url = None) -> int:
    """Compare a contract with what the senders of a server offer.

    Parameters
    ----------
    contract
        a file, as `sig schema` prints it
    """
    wanted = _read(contract)
    with sig.connect(url, codec=codec, reconnect=False, name="sig check") as router:
        found = list(differences(wanted, router.senders()))
    _show(Output(json), found)
    return errors.FAILED if found else errors.ANSWERED


def differences(contract: Document, rows: Sequence[SenderInfo]) -> Iterator[Difference]:
    """What the contract says, and the senders do not keep."""
    for name, wanted in contract.senders.items():
        there = [row for row in rows if matches(name, row.name)]
        if not there:
            yield Difference(name, "", "is not connected")
        for row in there:
            for what, differs in _between(wanted, row):
                yield Difference(row.name, what, differs)


def _between(wanted: Offer, row: SenderInfo) -> Iterator[tuple[str, str]]:
    offered = told([row]).senders[row.name]
    for event, schema in wanted.events.items():
        what = f"event {event}"
        if event not in offered.events:
            yield what, "is not offered"
        elif differs := difference(offered.events[event], schema):
            yield what, differs
    for method, parts in wanted.requests.items():
        what, there = f"request {method}", offered.requests.get(method)
        if there is None:
            if None not in (row.requests or ()):  # a default handler may answer it
                yield what, "is not offered"
            continue
        # Callers say what the contract allows, and are told what the sender answers.
        if differs := difference(parts.get("params"), there.get("params")):
            yield what, f"parameters: {differs}"
        if differs := difference(there.get("result"), parts.get("result")):
            yield what, f"answer: {differs}"
        if differs := difference(there.get("parts"), parts.get("parts")):
            yield what, f"parts of the answer: {differs}"


def _read(path: Path) -> Document:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Document)
    except OSError as error:
        raise sig.InvalidArgument(f"the contract cannot be read: {path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise sig.InvalidArgument(f"{path} is not what `sig schema` prints: {error}") from error


def _show(output: Output, found: Sequence[Difference]) -> None:
    if output.json:
        for one in found:
            print(as_json(one._asdict()), flush=True)
    elif found:
        Console(highlight=False).print(of_texts(("sender", "", "difference"), found))
    else:
        output.remark("nothing differs")
