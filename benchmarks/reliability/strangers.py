"""Strangers at the door: who is silent, and who guesses. Do honest clients get in meanwhile, and what does it cost?"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sig.aio
from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, Child, Outcome, as_many, mib, server, table
from sig.messages import Auth, Hello, encode_control
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack
from sig.security import Credentials
from sig.security.credentials import Credential
from sig.security.proof import make_token, token_key, verifier

SILENT = 5_000
WRONG = 10_000
HONEST = 100
# Until when each honest client must be in, and what one wrong login may cost: each is two frames and a few hashes.
IN_S = 1.0
CPU_S = 0.002
MEMORY = 32 * 2**20
# Those who guess come from other addresses of this machine, which are other places to a server.
_PLACES = 50
_AT_ONCE = 50
# Honest clients come by and by.
_PAUSE_S = 0.02


def run(quick: bool, seed: int) -> Outcome:
    chance = random.Random(seed)
    silent, wrong, honest = (100, 200, 5) if quick else (as_many(SILENT), WRONG, HONEST)
    with _tokens(chance) as (path, token), server("--tokens", str(path), auth=token) as child:
        alone = asyncio.run(_come(child, token, honest))
        with _silence(child, silent, seed):
            say(f"strangers: {silent:,} silent ones are there")
            waits = asyncio.run(_come(child, token, honest))
        child.settled(0)
        before, spent = child.memory, child.seconds
        logins, refused = asyncio.run(_guessing(child, token, wrong, honest, chance))
        spent, grown = child.seconds - spent, child.memory - before
        lines = child.log().splitlines()
    summaries = [line for line in lines if "refused, the last from" in line]
    told = {
        "silent": silent,
        "honest": honest,
        "longest_s_alone": round(max(alone), 4),
        "longest_s_beside_silent": round(max(waits), 4),
        "wrong": wrong,
        "refused": refused,
        "longest_s_beside_wrong": round(max(logins), 4),
        "cpu_s_each": round(spent / wrong, 6),
        "bytes_grown": grown,
        "log_lines": len(lines),
        "summaries": len(summaries),
    }
    rows = [
        ["silent connections, and honest clients", f"{silent:,} and {honest}"],
        ["the longest an honest one took to get in, alone", f"{1e3 * max(alone):.0f} ms"],
        ["beside those who are silent", f"{1e3 * max(waits):.0f} ms", f"{1e3 * IN_S:.0f} ms"],
        ["wrong logins, and those refused", f"{wrong:,} and {refused:,}"],
        ["the longest an honest login took beside them", f"{1e3 * max(logins):.0f} ms", f"{1e3 * IN_S:.0f} ms"],
        ["processor time for each wrong login", f"{1e6 * spent / wrong:.0f} us"],
        ["memory of the server, more", mib(grown)],
        ["lines in its log", f"{len(lines)}, of which {len(summaries)} about logins"],
    ]
    return Outcome(told, table("strangers", rows), list(_broken(told)))


def _broken(told: dict[str, Any]) -> Iterator[str]:
    for what in ("silent", "wrong"):
        if told[f"longest_s_beside_{what}"] > IN_S:
            took = told[f"longest_s_beside_{what}"]
            yield f"an honest client took {took} s to get in beside {told[what]} {what} ones"
    if told["refused"] != told["wrong"]:
        yield f"of {told['wrong']} wrong logins {told['refused']} were refused"
    if told["cpu_s_each"] > CPU_S:
        yield f"a wrong login costs the server {told['cpu_s_each']} s"
    if told["bytes_grown"] > MEMORY:
        yield f"the server took {mib(told['bytes_grown'])} more"
    if told["log_lines"] > 100:  # ten a minute about links, one about logins
        yield f"the log has {told['log_lines']} lines"


@contextmanager
def _tokens(chance: random.Random) -> Iterator[tuple[Path, str]]:
    """A file of credentials, and a token for which it lets one in."""
    with tempfile.TemporaryDirectory() as folder:
        text, made = make_token(chance.randbytes(8), chance.randbytes(32))
        store = Credentials(Path(folder) / "tokens.toml")
        store.save([Credential("honest", made.id, verifier(token_key(made)))])
        yield store.path, text


@contextmanager
def _silence(child: Child, count: int, seed: int) -> Iterator[None]:
    """So many connections that say nothing, in a process of their own."""
    host, port = child.place
    words = [sys.executable, "-m", "benchmarks.reliability.silent", host, str(port), str(count), str(seed)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "there\n":
                raise RuntimeError("those who are silent did not come: see above")
            yield
        finally:
            process.kill()


async def _come(child: Child, token: str, count: int) -> list[float]:
    """Honest clients, one after the other: how long each took to get in."""
    waits = []
    for number in range(count):
        begun = time.monotonic()
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    client = await sig.aio.connect(child.url, auth=token, name="honest")
                except sig.HandshakeRefused:
                    continue
                break
        waits.append(time.monotonic() - begun)
        await client.close()
        await asyncio.sleep(_PAUSE_S)
        say(f"strangers: {number + 1} honest clients have got in")
    return waits


async def _guessing(
    child: Child, token: str, count: int, honest: int, chance: random.Random
) -> tuple[list[float], int]:
    """Wrong logins, and honest ones meanwhile: how long these took, and how many of those were refused."""
    left = iter(range(count))
    refused = 0

    async def guess() -> None:
        nonlocal refused
        for number in left:
            told = await _wrong(child, number, chance)
            refused += told
            if number % 1000 == 999:
                say(f"strangers: {number + 1:,} wrong logins")

    guessers = [asyncio.ensure_future(guess()) for _ in range(_AT_ONCE)]
    waits = await _come(child, token, honest)
    await asyncio.gather(*guessers)
    return waits, refused


async def _wrong(child: Child, number: int, chance: random.Random) -> bool:
    """One login with a token that nobody has; whether it was refused."""
    host, port = child.place
    reader, writer = await asyncio.open_connection(host, port, local_addr=(f"127.0.1.{1 + number % _PLACES}", 0))
    frames = FrameReader(1 << 20, preface=True)
    hello = Hello([1], ["json"], login=f"{chance.getrandbits(64):016x}")
    writer.write(PREFACE + pack(Kind.HELLO, encode_control(hello)))
    try:
        async with asyncio.timeout(LIMIT_S):
            while data := await reader.read(1 << 16):
                for frame in [*frames.feed(data), *frames.feed()]:
                    if frame.kind == Kind.CHALLENGE:
                        writer.write(pack(Kind.AUTH, encode_control(Auth(chance.randbytes(32).hex(), "00" * 32))))
                    elif frame.kind == Kind.BYE:
                        return True
    finally:
        writer.transport.abort()
    return False
