"""The process in which atheris runs one target: `python -m fuzz.child TARGET FOLDERS... OPTIONS...`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sig"]):
    from fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
