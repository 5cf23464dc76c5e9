"""A server that may have a little more memory than it has now; it ends with its standard input."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import sig

MORE_BYTES = 64 * 1024 * 1024


def used_bytes() -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize:"))


with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
    client.flush()  # by now all threads are there
    limit = used_bytes() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(server.urls[0], flush=True)
    sys.stdin.read()
