"""`sig token`."""

from __future__ import annotations

import getpass
import re
import secrets
import sys
import time
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from sig.cli import errors
from sig.cli.options import Json
from sig.cli.output import Output, as_json
from sig.cli.tables import of_texts
from sig.errors import InvalidArgument
from sig.security.credentials import USUAL, Credential, check_identity
from sig.security.files import Credentials
from sig.security.proof import ID_BYTES, KEY_BYTES, SALT_BYTES, make_token, password_key, token_key, verifier
from sig.security.secret import Secret

EXAMPLES = """Examples:

    sig token tokens.toml alice --group operators
    sig token tokens.toml panel-3 --expires 90d
    sig token tokens.toml bob --password       asks for it, or reads a line
    sig token tokens.toml                      list who may log in
    sig token tokens.toml alice --revoke       nobody logs in as alice any more

A token is printed once, and kept nowhere: give it to whom it is for, who says
export SIG_TOKEN=..., or auth= in Python. The server: sig serve --tokens
tokens.toml, which follows what changes in the file within a second.
"""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def token(
    file: Path,
    name: str | None = None,
    /,
    *,
    group: Annotated[
        tuple[str, ...], Parameter(negative="", show_default=False, help="a group it is in; may be given again")
    ] = (),
    expires: Annotated[
        str | None,
        Parameter(show_default=False, help="when it ends: 90d, 12h, or a time as 2030-01-31 or 2030-01-31T12:00:00Z"),
    ] = None,
    password: Annotated[
        bool, Parameter(negative="", show_default=False, help="a password instead of a token, for people")
    ] = False,
    revoke: Annotated[
        bool, Parameter(negative="", show_default=False, help="take away all that this name, or token, logs in with")
    ] = False,
    json: Json = False,
) -> int:
    """Make what somebody logs in to a server with, or take it away.

    Parameters
    ----------
    file
        what the server knows them by; made if there is none
    name
        who that is, or with --revoke the id of one token; without it those that are there are listed
    """
    store = Credentials(file)
    known = store.load() if file.exists() or name is None or revoke else {}
    output = Output(json)
    if name is None:
        _list(output, list(known.values()))
        return errors.ANSWERED
    if revoke:
        kept = [one for one in known.values() if name not in (one.name, one.login)]
        if len(kept) == len(known):
            raise InvalidArgument(f"there is nobody of that name in {file}: {name!r}; sig token {file} lists all")
        store.save(kept)
        output.remark(f"{len(known) - len(kept)} taken away")
        return errors.ANSWERED
    check_identity(name)
    until = inf if expires is None else _time(expires)
    if password:
        salt = secrets.token_bytes(SALT_BYTES)
        key = password_key(_asked(name), salt, USUAL)
        made, text = Credential(name, name, verifier(key), group, until, salt), ""
    else:
        text, parts = make_token(secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES))
        made = Credential(name, parts.id, verifier(token_key(parts)), group, until)
    store.save({**known, made.login: made}.values())
    if text:
        print(as_json({"name": name, "token": text}) if json else text)
        output.remark(f"the token of {name}, which is not shown again: export SIG_TOKEN=...")
    return errors.ANSWERED


def _time(text: str) -> float:
    """Seconds since 1970."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is not None:
        return time.time() + int(found[1]) * _UNITS[found[2]]
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(
            f"--expires {text!r} is no time: write 90d, 12h, 2030-01-31 or 2030-01-31T12:00:00Z"
        ) from None
    return (then if then.tzinfo is not None else then.replace(tzinfo=UTC)).timestamp()


def _asked(name: str) -> Secret:
    """The password, twice from a terminal, or a line of standard input."""
    if not sys.stdin.isatty():
        first = sys.stdin.readline().rstrip("\r\n")
    else:
        first = getpass.getpass(f"password of {name}: ")
        if getpass.getpass("again: ") != first:
            raise InvalidArgument("the two are not the same: nothing was changed")
    if not first:
        raise InvalidArgument("a password cannot be empty: nothing was changed")
    return Secret(first)


def _list(output: Output, known: list[Credential]) -> None:
    if output.json:
        for one in known:
            row = {
                "name": one.name,
                "kind": "password" if one.salt else "token",
                "id": one.login,
                "groups": one.groups,
                "expires": None if one.expires == inf else one.expires,
            }
            print(as_json(row), flush=True)
        return
    rows = [_cells(one) for one in known]
    shown = of_texts(("name", "kind", "id", "groups", "expires"), rows)
    Console(highlight=False).print(shown if known else "nobody may log in")


def _cells(one: Credential) -> list[str]:
    until = "" if one.expires == inf else datetime.fromtimestamp(one.expires, UTC).isoformat(sep=" ")
    return [one.name, one.identity.source, one.login, ", ".join(one.groups), until]
