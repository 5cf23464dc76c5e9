"""`sig serve`."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

import sig
from sig.cli import errors, limits
from sig.cli.config import Given, Settings, TLSFiles, read, show
from sig.cli.notify import Notifier
from sig.cli.service import Service
from sig.cli.signals import service_signals
from sig.drivers.descriptors import raise_limit

INDENT = "    "
EXAMPLES = f"""Examples:

    sig serve                        on port 3000, for this machine only
    sig serve tcp://127.0.0.1:0      on a free port, which it prints
    sig serve --codec msgpack        clients of either codec may come
    sig serve tcp://127.0.0.1:3000 unix:///run/user/1000/bus.sock
                                     at two addresses at once
    sig serve tls://127.0.0.1:0 --tls-cert server.pem --tls-key server.key
                                     encrypted; sig certs makes certificates
    sig serve ws://127.0.0.1:0 --origin http://localhost:5173
                                     for a web page too
    sig serve --tokens tokens.toml --policy policy.toml
                                     for those who log in; sig token lets them
    sig serve --max-connections 50
    sig serve --print-config > sig.toml && sig serve --config sig.toml

Each of these limits is an option too:

{textwrap.fill(", ".join(limits.OPTIONS), 76, break_on_hyphens=False, initial_indent=INDENT, subsequent_indent=INDENT)}
"""


def serve(
    *urls: str,
    codec: Annotated[
        Literal["json", "msgpack"] | None,
        Parameter(
            show_default=False, help="what data is encoded in, json if nothing is said; either understands the other"
        ),
    ] = None,
    config: Annotated[
        Path | None, Parameter(show_default=False, help="a TOML file that says all this; what stands here goes before")
    ] = None,
    print_config: Annotated[
        bool, Parameter(negative="", show_default=False, help="print such a file, with every limit, and end")
    ] = False,
    insecure_public: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="serve other machines too, where anybody may then do everything"
        ),
    ] = False,
    tokens: Annotated[
        Path | None, Parameter(show_default=False, help="a file of sig token: only who is in it is let in")
    ] = None,
    anonymous: Annotated[
        bool, Parameter(negative="", show_default=False, help="with --tokens: let others in too, as anonymous")
    ] = False,
    policy: Annotated[Path | None, Parameter(show_default=False, help="a file that says who may do what")] = None,
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
    host: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="a name by which clients may ask for the server over ws and wss; may be given again",
        ),
    ] = (),
    limit: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="a limit, as NAME=NUMBER; may be given again"),
    ] = (),
) -> int:
    """Run a server until Ctrl-C.

    It prints each address as bound, in a line of its own. On Ctrl-C or SIGTERM it
    answers what it was asked, and ends with code 0; the second time at once. On
    SIGHUP it reads --config and certificates anew.

    Parameters
    ----------
    urls
        where to serve; without any, $SIG_URL or tcp://127.0.0.1:3000. Port 0 takes a free one
    """
    files = {"cert": tls_cert, "key": tls_key, "ca": tls_ca}
    given = Given(
        urls=list(urls),
        codec=codec,
        insecure_public=insecure_public,
        tokens=None if tokens is None else str(tokens),
        anonymous=anonymous,
        policy=None if policy is None else str(policy),
        origins=list(origin),
        hosts=list(host),
        tls=TLSFiles(**{name: str(file) for name, file in files.items() if file is not None}),
        limits=limits.read(limit),
    )

    def reread() -> Settings:
        return given.upon(Settings() if config is None else read(config))

    settings = reread()
    if print_config:
        print(show(settings), end="")
        return errors.ANSWERED
    raise_limit()
    # Those of tokens and policies are looked at all the time; a service that has files is not ended by a hangup.
    has_files = config or settings.tls != TLSFiles() or settings.tokens or settings.policy
    with service_signals(reload=bool(has_files)) as told:
        server = sig.serve(*settings.urls, **settings.options())
        return Service(server, settings, reread, Notifier(os.environ)).run(told)
