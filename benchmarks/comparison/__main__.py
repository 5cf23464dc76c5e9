"""Asks each peer that is at hand, and prints what they did, side by side."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from importlib.metadata import PackageNotFoundError, version

from benchmarks.comparison.asking import QUESTIONS, Found

PEERS = ("of_sig", "of_nats", "of_socketio", "of_zenoh", "of_dbus", "of_faststream", "of_autobahn")
LIMIT_S = 60.0


async def ask(peer: str) -> tuple[str, Found]:
    module = importlib.import_module(f"benchmarks.comparison.{peer}")
    found: Found = {}
    try:
        await asyncio.wait_for(module.probe(found), LIMIT_S)
    except Exception as error:  # what was found so far is told all the same
        print(f"{peer}: {type(error).__name__}: {error}", file=sys.stderr)
    try:
        name = f"{module.NAME} {version(module.NAME)}"
    except PackageNotFoundError:
        name = module.NAME
    return name, found


def main(peers: list[str]) -> None:
    logging.disable(logging.CRITICAL)  # what handlers raise is part of the questions
    columns: list[tuple[str, Found]] = []
    for peer in peers or PEERS:
        try:
            columns.append(asyncio.run(ask(peer)))
        except ImportError as error:
            print(f"{peer} is left out: {error}", file=sys.stderr)
    for question, text in QUESTIONS.items():
        print(f"\n{text}\n")
        for name, found in columns:
            print(f"* {name}: {found.get(question, 'not offered')}")


if __name__ == "__main__":
    main(sys.argv[1:])
