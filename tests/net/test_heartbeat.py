"""A peer that stops without a word is noticed, whichever end it is: its process has the link still, and is silent."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import sig
import sig.aio

LIMIT_S = 30
NOTICED = "nothing has come from the server for 0.8 s: it hangs, or the way to it is broken"

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to stop a process here")


@contextmanager
def child(text: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process, and the first line that it prints."""
    command = [sys.executable, "-c", "import sys, sig\n" + text, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> None:
    """It has stopped when this returns."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


SERVER = (
    "server = sig.serve('tcp://127.0.0.1:0', heartbeat_timeout_s=1)\nprint(server.urls[0], flush=True)\nserver.wait()"
)
CLIENT = (
    "client = sig.connect(sys.argv[1])\n"
    "client.add_sender('s', 'e', requests={'m': print})\n"
    "print('here', flush=True)\n"
    "client.wait()"
)


def test_a_client_that_stops() -> None:
    left: queue.Queue[Any] = queue.Queue()
    with sig.serve("tcp://127.0.0.1:0", heartbeat_timeout_s=1) as server:
        server.listen(lambda info, data: left.put((info.sender, data["reason"])), None, "#disconnect")
        with sig.connect(server.urls[0]) as lives, child(CLIENT, server.urls[0]) as (process, line):
            assert line == "here"
            asked = server.start_request("s", "m", timeout=LIMIT_S)
            asked.result(LIMIT_S)
            lives.add_sender("another", "e")
            stop(process)
            asked = server.start_request("s", "m", timeout=LIMIT_S)
            assert left.get(timeout=LIMIT_S) == ("s", "timeout")
            with pytest.raises(sig.ConnectionLost, match="sender 's' left"):
                asked.result(LIMIT_S)
            assert {row.name for row in server.senders()} == {"another"}
            lives.flush()


def test_a_server_that_stops() -> None:
    with child(SERVER) as (process, url):
        client = sig.connect(url, reconnect=False)
        stop(process)
        asked = client.start_request("s", "m", timeout=LIMIT_S)
        with pytest.raises(sig.ConnectionLost, match=NOTICED):
            client.wait(LIMIT_S)
        with pytest.raises(sig.ConnectionLost, match=NOTICED):
            asked.result(LIMIT_S)
        client.close()


def test_a_server_that_stops_in_asyncio() -> None:
    async def program(url: str, process: subprocess.Popen[str]) -> None:
        client = await sig.aio.connect(url, reconnect=False)
        stop(process)
        with pytest.raises(sig.ConnectionLost, match=NOTICED):
            await client.request("s", "m", timeout=LIMIT_S)
        with pytest.raises(sig.ConnectionLost, match=NOTICED):
            await client.wait(LIMIT_S)
        await client.close()

    with child(SERVER) as (process, url):
        asyncio.run(program(url, process))
