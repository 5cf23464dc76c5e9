"""The options and arguments that several commands have, told once."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

Url: TypeAlias = Annotated[
    str | None,
    Parameter(name="--url", help="where the server is; else $SIG_URL, else tcp://127.0.0.1:3000"),
]

Codec: TypeAlias = Annotated[
    Literal["json", "msgpack"],
    Parameter(name="--codec", help="what data is encoded in; either one understands the other"),
]

Json: TypeAlias = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="print JSON, as when the output is piped"),
]

# A single `-` and negative numbers are data. Of other words with a hyphen, `values` says that they look like options.
Words: TypeAlias = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True,
        help="key=value pairs, or one JSON text, or - for lines of JSON from standard input",
    ),
]
