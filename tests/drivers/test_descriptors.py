"""A server that is short of descriptors goes on, and says so to whoever comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="the system bounds descriptors in another way")

# In a process of its own: the limit is that of the process, and so are the descriptors.
PROGRAM = """
import resource, socket, sys

import sig
from sig.drivers.descriptors import is_spare, raise_limit

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
raise_limit()
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
assert (is_spare(95, 32), is_spare(96, 32)) == (True, False)

with sig.serve("tcp://127.0.0.1:0") as server:
    print(server.urls[0], flush=True)
    for line in sys.stdin:  # for each, all that there is to know
        totals = server.stats().totals
        print(totals.clients, totals.refused, flush=True)
"""


def test_it_keeps_some_and_turns_away_who_comes_beyond() -> None:
    import socket
    from contextlib import ExitStack

    import sig
    from sig.carriers.address import parse

    with ExitStack() as stack:
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stack.callback(server.communicate)
        stack.callback(server.kill)
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        address = parse(url)
        first = stack.enter_context(sig.connect(url))

        def told() -> tuple[int, int]:
            assert server.stdin is not None
            assert server.stdout is not None
            print(file=server.stdin, flush=True)
            clients, refused = server.stdout.readline().split()
            return int(clients), int(refused)

        crowd = [stack.enter_context(socket.create_connection((address.host, address.port))) for _ in range(300)]
        for sock in crowd:
            sock.settimeout(30)
        # Those that were turned away have been told so, and all others are there.
        while sum(told()) < len(crowd) + 2:
            pass
        clients, refused = told()
        assert clients + refused == len(crowd) + 2  # with the router of the server
        assert refused > 100
        with pytest.raises(sig.ConnectFailed, match="no descriptors left"):
            sig.connect(url)
        assert first.senders() == []  # who was there before is served
        for sock in crowd:
            sock.close()
        while True:
            try:
                with sig.connect(url) as late:
                    assert late.senders() == []
                    break
            except sig.ConnectFailed:
                continue
