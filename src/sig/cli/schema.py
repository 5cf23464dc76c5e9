"""`sig schema`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

import sig
from sig.cli import errors
from sig.cli.asyncapi import asyncapi
from sig.cli.options import Codec, Json, Url
from sig.cli.output import Output
from sig.info import SenderInfo

EXAMPLES = """Examples:

    sig schema                                 with types where they are told
    sig schema 'lab/**' > contract.json        to keep, for `sig check`
    sig schema --asyncapi > asyncapi.json      for tools that make pages of it
"""


class Offer(msgspec.Struct, forbid_unknown_fields=True):
    """What one sender offers. A schema without a keyword takes everything."""

    events: dict[str, dict[str, Any]] = {}
    # By method: the schemas of `params`, `result` and `parts`, where they are told.
    requests: dict[str, dict[str, dict[str, Any]]] = {}


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """What is printed, and what `sig check` reads."""

    senders: dict[str, Offer]


def schema(
    pattern: str | None = None,
    /,
    *,
    asyncapi: Annotated[
        bool, Parameter(negative="", show_default=False, help="print an AsyncAPI 3 document instead")
    ] = False,
    json: Json = False,
    codec: Codec = "json",
    url: Url = None,
) -> int:
    """Print what senders offer, as JSON Schema.

    Parameters
    ----------
    pattern
        a name or pattern; everybody without it
    """
    with sig.connect(url, codec=codec, reconnect=False, name="sig schema") as router:
        document = told(router.senders(pattern))
    shown: object = _asyncapi(document) if asyncapi else document
    if json or sys.stdout.isatty():
        Output(json).value(shown)
    else:  # to be kept in a file, and compared line by line
        print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    return errors.ANSWERED


def told(rows: Sequence[SenderInfo]) -> Document:
    """What these offer. Default handlers answer whatever they like, and are left out."""
    return Document({row.name: _offer(row) for row in rows})


def _offer(row: SenderInfo) -> Offer:
    events, requests = (_object((row.schema or {}).get(part)) for part in ("events", "requests"))
    methods = {method: _object(requests.get(method)) for method in row.requests or () if method is not None}
    return Offer(
        {event: _object(events.get(event)) for event in row.events},
        {method: {what: _object(part) for what, part in parts.items()} for method, parts in methods.items()},
    )


def _object(said: object) -> dict[str, Any]:
    """What a peer says is a schema, or holds some."""
    return said if isinstance(said, dict) else {}


def _asyncapi(document: Document) -> dict[str, Any]:
    return asyncapi({name: (offer.events, offer.requests) for name, offer in document.senders.items()})
