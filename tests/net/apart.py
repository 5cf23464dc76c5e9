"""Two machines with a cable between them, which can be pulled, and lose what goes through it: networks of the kernel.

They are namespaces, which end with the processes that hold them: nothing is left behind however a test ends. Whoever
may make user namespaces needs no other rights.
"""

from __future__ import annotations

import functools
import json
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

LIMIT_S = 60
PROGRAM = Path(__file__).with_name("far.py")
SERVER, CLIENT = 0, 1
ADDRESSES = "10.77.0.1", "10.77.0.2"
_HOLD = "echo here; exec sleep infinity"
_TOOLS = ("ip", "nft", "nsenter", "unshare")


class Apart:
    """A server's machine and a client's."""

    def __init__(self) -> None:
        self._holders: list[subprocess.Popen[str]] = []
        self._programs: list[Program] = []
        try:
            self._hold("unshare", "--user", "--map-root-user", "--net")
            self._hold(*self._inside(SERVER, net=False), "unshare", "--net")
            peer = str(self._holders[CLIENT].pid)
            self._run(SERVER, f"ip link add name cable type veth peer name cable netns {peer}")
            for side, address in enumerate(ADDRESSES):
                for command in (f"ip address add {address}/24 dev cable", "ip link set cable up", "ip link set lo up"):
                    self._run(side, command)
                self._run(side, "nft add table ip t; add chain ip t c { type filter hook input priority 0; }")
        except BaseException:
            self.close()
            raise

    def start(self, side: int, *words: str) -> Program:
        """Run `far.py` with these words there."""
        program = Program([*self._inside(side), sys.executable, str(PROGRAM), *words])
        self._programs.append(program)
        return program

    def pull(self) -> None:
        """Pull the cable out, on the server's side: nobody is told, least of all TCP."""
        self._run(SERVER, "ip link set cable down")

    def plug(self) -> None:
        self._run(SERVER, "ip link set cable up")

    def deafen(self, side: int) -> None:
        """Let nothing in any more there, while all goes out."""
        self._run(side, "nft add rule ip t c drop")

    def lose(self, percent: int) -> None:
        """Lose so many packets by chance, both ways."""
        for side in (SERVER, CLIENT):
            self._run(side, f"nft add rule ip t c numgen random mod 100 < {percent} drop")

    def heal(self) -> None:
        """Lose nothing any more."""
        for side in (SERVER, CLIENT):
            self._run(side, "nft flush chain ip t c")

    def close(self) -> None:
        for program in self._programs:
            program.close()
        for holder in reversed(self._holders):
            holder.kill()
            holder.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _inside(self, side: int, *, net: bool = True) -> list[str]:
        inside = ["nsenter", "--preserve-credentials", "--user", f"--target={self._holders[side].pid}"]
        return [*inside, "--net"] if net else inside

    def _hold(self, *command: str) -> None:
        holder = subprocess.Popen(
            [*command, "sh", "-c", _HOLD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._holders.append(holder)
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise OSError(f"{command[-2]} {command[-1]}: {holder.communicate()[1].strip()}")

    def _run(self, side: int, command: str) -> None:
        done = subprocess.run(
            [*self._inside(side), *command.split()], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode:
            raise OSError(f"{command}: {done.stderr.strip()}")


class Program:
    """One that runs on one of them, and tells a JSON value a line."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def next(self) -> Any:
        """What it tells next; raises `queue.Empty` if it tells nothing."""
        return self._told.get(timeout=LIMIT_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # what it was about to tell when it was killed is cut off
                self._told.put(json.loads(line))


@functools.cache
def why_not() -> str | None:
    """Why there are no such machines here; `None` where there are."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"networks of the kernel need {' and '.join(missing)}"
    try:
        Apart().close()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no networks of the kernel here: {error}"
    return None
