"""`sig serve`."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import sig
from sig.carriers.address import default_url
from sig.cli import errors, limits
from sig.cli.options import Codec
from sig.cli.signals import until_signal

INDENT = "    "
EXAMPLES = f"""Examples:

    sig serve                           on port 3000, for this machine only
    sig serve tcp://127.0.0.1:0         on a free port, which it prints
    sig serve --codec msgpack           which clients with codec="json" understand too
    sig serve tcp://127.0.0.1:3000 unix:///run/user/1000/bus.sock
                                        at two addresses at once
    sig serve tls://127.0.0.1:0 --tls-cert server.pem --tls-key server.key
                                        encrypted; sig certs makes certificates
    sig serve ws://127.0.0.1:0 --origin http://localhost:5173
                                        for a web page too
    sig serve --max-connections 50

Each of these limits is an option too:

{textwrap.fill(", ".join(limits.OPTIONS), 76, break_on_hyphens=False, initial_indent=INDENT, subsequent_indent=INDENT)}
"""


def serve(
    *urls: str,
    codec: Codec = "json",
    insecure_public: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="serve other machines too, where anybody may then do everything"
        ),
    ] = False,
    tls_cert: Annotated[
        Path | None, Parameter(show_default=False, help="the server's certificate, for tls and wss")
    ] = None,
    tls_key: Annotated[Path | None, Parameter(show_default=False, help="its key")] = None,
    tls_ca: Annotated[
        Path | None, Parameter(show_default=False, help="of which authority clients must show certificates")
    ] = None,
    origin: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", show_default=False, help="a web page that may connect to ws and wss; may be given again"
        ),
    ] = (),
    limit: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="a limit, as NAME=NUMBER; may be given again"),
    ] = (),
) -> int:
    """Run a server until Ctrl-C.

    It prints each address as bound, in a line of its own, and ends with code 0 on Ctrl-C or SIGTERM.

    Parameters
    ----------
    urls
        where to serve; without any, $SIG_URL or tcp://127.0.0.1:3000. Port 0 takes a free one
    """
    options: dict[str, Any] = limits.read(limit)
    if tls_cert is not None or tls_key is not None or tls_ca is not None:
        options["tls"] = sig.TLS(cert=tls_cert, key=tls_key, ca=tls_ca)
    if origin:
        options["origins"] = origin
    hint = " (Ctrl-C ends it)" if sys.stdout.isatty() else ""
    with (
        until_signal() as stopped,
        sig.serve(*(urls or (default_url(),)), codec=codec, insecure_public=insecure_public, **options) as server,
    ):
        for url in server.urls:
            print(f"serving {url}{hint}", flush=True)
        stopped.wait()
    return errors.ANSWERED
