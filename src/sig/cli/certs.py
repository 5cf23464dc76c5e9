"""`sig certs`."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlencode

from cyclopts import Parameter

from sig.carriers.address import Address, is_loopback
from sig.cli import errors
from sig.cli.options import Json
from sig.cli.output import Output, as_json, complain
from sig.constants import DEFAULT_PORT

if TYPE_CHECKING:
    from sig.certs import Made, Pair

EXAMPLES = """Examples:

    sig certs certs                            a server on this machine
    sig certs certs --host lab.local --host 192.168.1.5
    sig certs certs --client lab-1 --client lab-2

The authority (ca.pem and ca.key) is made once and kept; what else is named is
made anew. Give ca.pem to everybody, and ca.key to nobody.
"""

# For what is said of no host.
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
# What the systems of phones and desktops accept at most.
_DAYS = 825


def certs(
    folder: Path,
    /,
    *,
    host: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="a host name or IP address of the server; may be given again"),
    ] = (),
    client: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="the name of a client; may be given again"),
    ] = (),
    days: Annotated[int, Parameter(help="how long they last")] = _DAYS,
    json: Json = False,
) -> int:
    """Make certificates for TLS: an authority, and what it signs.

    Parameters
    ----------
    folder
        where they are, or come to be
    """
    if importlib.util.find_spec("cryptography") is None:
        complain("certificates need 'cryptography', which is not here: pip install 'pysig[tls]'")
        return errors.USAGE
    from sig.certs import make

    hosts = host or (() if client else _THIS_MACHINE)
    made = make(folder, hosts, client, days=days)
    output = Output(json)
    if output.json:
        output.value(_as_dict(made, hosts))
    else:
        print("\n".join(_as_text(made, hosts)))
    return errors.ANSWERED


def _as_dict(made: Made, hosts: tuple[str, ...]) -> dict[str, object]:
    return {
        "authority": _files(made.authority) | {"kept": made.authority.kept},
        "server": made.server and _files(made.server) | {"hosts": hosts},
        "clients": [_files(pair) | {"name": pair.name} for pair in made.clients],
        "expires": made.until.isoformat(timespec="seconds"),
        "next": dict(_next(made, hosts)),
    }


def _as_text(made: Made, hosts: tuple[str, ...]) -> list[str]:
    ca = made.authority
    what = "the authority, which was there" if ca.kept else "the authority: ca.pem for everybody, ca.key for nobody"
    lines = [(ca, what)]
    if made.server is not None:
        lines.append((made.server, f"the server {', '.join(hosts)}"))
    lines += [(pair, f"the client {pair.name}") for pair in made.clients]
    width = max(len(str(pair.cert)) for pair, _ in lines)
    return [
        *(f"{pair.cert!s:{width}}  {text}" for pair, text in lines),
        "",
        f"Each has its key beside it, in a .key file. They expire on {made.until:%Y-%m-%d}. Next:",
        *(f"\n    {line}" for _, line in _next(made, hosts)),
    ]


def _next(made: Made, hosts: tuple[str, ...]) -> list[tuple[str, str]]:
    """What to do with them, as one would type it: in a shell, and in Python."""
    ca = made.authority.cert
    named = next((host for host in hosts if "*" not in host), "HOST")
    url = str(Address(named, DEFAULT_PORT, "tls")).removesuffix(f":{DEFAULT_PORT}")
    found = []
    if made.server is not None:
        trusted = {"ca": ca} if made.clients else {}
        open_to_all = "" if made.clients or is_loopback(named) else " --insecure-public"
        found.append(("serve", f"sig serve {_with(url, **_own(made.server), **trusted)}{open_to_all}"))
    own = _own(made.clients[0]) if made.clients else {}
    found.append(("listen", f"sig listen --url {_with(url, ca=ca, **own)}"))
    fields = ", ".join(f"{name}={as_json(str(path))}" for name, path in {"ca": ca, **own}.items())
    found.append(("connect", f"sig.connect({as_json(url)}, tls=sig.TLS({fields}))"))
    return found


def _with(url: str, **files: Path) -> str:
    """A URL with these options, as a word in a shell."""
    return shlex.quote(f"{url}?{urlencode(files, quote_via=quote, safe='/')}")


def _own(pair: Pair) -> dict[str, Path]:
    return {"cert": pair.cert, "key": pair.key}


def _files(pair: Pair) -> dict[str, object]:
    return {name: str(path) for name, path in _own(pair).items()}
