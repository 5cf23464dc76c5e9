"""The command `sig`: serve, listen, trigger, request, senders, demo. Over the public interface only."""

from __future__ import annotations

import sys


def main(tokens: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. The entry point of the script `sig`."""
    try:
        from sig.cli.app import run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] == "sig":
            raise  # not an extra that was left out: a fault of ours
        print(f"sig: the command needs {missing.name!r}, which is not here: pip install 'pysig[cli]'", file=sys.stderr)
        return 2
    return run(sys.argv[1:] if tokens is None else tokens)
