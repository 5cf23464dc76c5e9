"""A child process at the other end of its standard input and output, as a server and as a client."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sig
import sig.aio

LIMIT_S = 20

CHILD = """
import sig
with sig.{verb}("stdio:") as router:
    sender = router.add_sender("child", ["said"], requests={{
        "double": lambda number: number * 2,
        "print": lambda text: print(text),
        "leave": lambda _: __import__("os")._exit(3),
    }})
    print("a line in between")
    try:
        router.wait()
    except sig.ConnectionLost:
        pass
"""
SERVES = [sys.executable, "-c", CHILD.format(verb="serve")]
CONNECTS = [sys.executable, "-c", CHILD.format(verb="connect")]


def test_a_child_that_serves() -> None:
    with sig.connect("stdio:", command=SERVES) as client:
        assert client.sender("child").wait(LIMIT_S)
        assert client.request("child", "double", 21) == 42
        client.request("child", "print", "x" * 100_000)
        assert client.request("child", "double", 1) == 2


def test_a_child_that_is_a_client() -> None:
    with sig.serve("stdio:", "tcp://127.0.0.1:0", command=CONNECTS) as server:
        assert server.urls[0] == "stdio:"
        with sig.connect(server.urls[1]) as other:
            assert other.sender("child").wait(LIMIT_S)
            assert other.request("child", "double", 21) == 42
            (child,) = other.senders()
            assert child.address.startswith("child ")


def test_a_child_in_the_asyncio_face() -> None:
    async def main() -> None:
        async with sig.aio.connect("stdio:", command=SERVES) as client:
            assert await client.sender("child").wait(LIMIT_S)
            assert await client.request("child", "double", 21) == 42
        async with sig.aio.serve("stdio:", command=CONNECTS) as server:
            assert await server.sender("child").wait(LIMIT_S)
            assert await server.request("child", "double", 21) == 42

    asyncio.run(main())


@pytest.mark.parametrize("face", ["", ".aio"])
def test_a_server_whose_parent_has_gone_closes(tmp_path: Path, face: str) -> None:
    mark = tmp_path / "ended"
    program = {
        "": "import sig, sys\nwith sig.serve('stdio:') as s:\n  s.wait()\nopen(sys.argv[1], 'w').close()",
        ".aio": "import asyncio, sig.aio, sys\nasync def main():\n  async with sig.aio.serve('stdio:') as s:\n"
        "    await s.wait()\nasyncio.run(main())\nopen(sys.argv[1], 'w').close()",
    }[face]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(mark)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(LIMIT_S) == 0
    assert mark.exists()


def test_a_child_that_ends_is_noticed() -> None:
    gone = threading.Event()
    with sig.connect("stdio:", command=SERVES) as client:
        client.on_disconnected = gone.set
        client.sender("child").wait(LIMIT_S)
        with pytest.raises(sig.ConnectionLost):
            client.request("child", "leave")
        assert gone.wait(LIMIT_S)


def test_what_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(sig.ConnectFailed, match="cannot start 'no-such-program': No such file"):
        sig.connect("stdio:", command=["no-such-program"])
    with pytest.raises(sig.ConnectFailed, match="cannot start"):
        sig.serve("stdio:", command=[sys.executable], cwd=tmp_path / "nowhere")
    with pytest.raises(sig.InvalidArgument, match="must be a list of words"):
        sig.connect("stdio:", command="python child.py")
    with pytest.raises(sig.InvalidArgument, match="more than a scheme"):
        sig.connect("stdio://child")


def test_streams_that_lead_to_nobody_are_one_sentence() -> None:
    program = "import sys, sig; sys.stdin.close()\ntry: sig.connect('stdio:')\nexcept sig.ConnectFailed as e: print(e)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S)
    assert "lead to no other program: let one start this with command=[...]" in done.stdout, done.stderr


def test_a_child_gets_the_environment_it_is_given() -> None:
    child = "import os, sig\nwith sig.serve('stdio:') as s:\n  s.add_sender(os.environ['NAME'], ['e'])\n  s.wait()"
    environment = {**os.environ, "NAME": "named"}
    with sig.connect("stdio:", command=[sys.executable, "-c", child], env=environment) as client:
        assert client.sender("named").wait(LIMIT_S)
