"""On what something was measured: without it no figure means anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable


def machine() -> dict[str, object]:
    """Python, the system, processors, and how busy they were before we began."""
    return {
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """The version of each distribution; `None` for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
