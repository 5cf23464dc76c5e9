"""A process that answers until it is killed: `python -m benchmarks.comparison.child PEER ADDRESS`."""

from __future__ import annotations

import asyncio
import importlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

SETTLED_S = 0.5


def begin(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@asynccontextmanager
async def killable(peer: str, address: str) -> AsyncIterator[subprocess.Popen[str]]:
    """One that is ready: it has said so."""
    command = [sys.executable, "-m", "benchmarks.comparison.child", peer, address]
    child = await asyncio.to_thread(begin, *command)
    try:
        assert child.stdout is not None
        if (await asyncio.to_thread(child.stdout.readline)).strip() != "ready":
            raise RuntimeError(f"the child of {peer} did not come up")
        await asyncio.sleep(SETTLED_S)  # what it said to a server may still be on its way
        yield child
    finally:
        kill(child)
        child.stdout.close()


@contextmanager
def daemon(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Some server that a peer needs."""
    process = begin(*command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def reachable(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def kill(child: subprocess.Popen[str]) -> None:
    """Without a word, as a power cut does."""
    if child.poll() is None:
        child.send_signal(signal.SIGKILL)
    child.wait()


def ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    module = importlib.import_module(f"benchmarks.comparison.{sys.argv[1]}")
    asyncio.run(module.child(sys.argv[2]))
