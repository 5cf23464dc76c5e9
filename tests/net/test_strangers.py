"""Strangers at the door of a real server: those who are silent keep nobody out, nor do those who guess."""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from net.raw import LIMIT_S, Raw
from protocol.who import credential, token

import sig
from sig.carriers.address import parse
from sig.messages import Auth, Bye, Hello, decode_control, encode_control
from sig.protocol.frames import PREFACE, Kind, pack
from sig.security import Credentials
from sig.security.attempts import FREE, REMEMBERED

SILENT, WRONG, HONEST = 200, 200, 10
PLACES = 5
ROOM = 50


@contextmanager
def silent(url: str, count: int) -> Iterator[None]:
    """So many links that say nothing."""
    with ExitStack() as ends:
        for _ in range(count):
            ends.enter_context(closing(Raw.connect(url).sock))
        yield


def test_who_is_silent_keeps_nobody_out() -> None:
    with sig.serve("tcp://127.0.0.1:0", max_pending_handshakes=ROOM, handshake_timeout_s=600) as server:
        url = server.urls[0]
        with silent(url, SILENT):
            for _ in range(HONEST):
                with sig.connect(url, reconnect=False) as client:
                    assert client.senders() == []
            # The oldest were sent away for those who came later, and gone they are though they have not closed.
            assert server.stats().totals.refused >= SILENT - ROOM
            deadline = time.monotonic() + LIMIT_S
            while server.stats().totals.clients > ROOM + 1:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def wrong(url: str, place: str, login: str, chance: random.Random) -> str:
    """Logs in from some place without what it takes; returns what is said to that."""
    with Raw(socket.create_connection(parse(url)[:2], LIMIT_S, source_address=(place, 0))) as raw:
        hello = Hello([1], ["json"], login=login)
        raw.send(PREFACE, pack(Kind.HELLO, encode_control(hello)))
        frame = raw.read()
        if frame.kind == Kind.CHALLENGE:
            raw.send(pack(Kind.AUTH, encode_control(Auth(chance.randbytes(32).hex(), chance.randbytes(32).hex()))))
            frame = raw.read()
        assert frame.kind == Kind.BYE
        return decode_control(Bye, frame.body).message


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is this machine")
def test_who_guesses_waits_and_keeps_nobody_else_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Credentials(tmp_path / "t.toml")
    store.save([credential(7, "alice")])
    chance = random.Random(1)
    with sig.serve("tcp://127.0.0.1:0", auth=store) as server:
        url, said = server.urls[0], []
        for number in range(WRONG):
            said.append(wrong(url, f"127.0.1.{1 + number % PLACES}", f"{chance.getrandbits(64):016x}", chance))
            if number % (WRONG // HONEST) == 0:
                sig.connect(url, auth=token(7), reconnect=False).close()
        assert server._server is not None
        attempts = server._server.core.access.attempts
        # Nor who is guessed at, where it has been let in.
        for number in range(FREE + 1):
            assert "does not know" in wrong(url, f"127.0.2.{1 + number}", credential(7, "alice").login, chance)
        sig.connect(url, auth=token(7), reconnect=False).close()
    told = [message for message in said if "does not know that token" in message]
    waits = [message for message in said if "too many logins have failed" in message]
    assert len(told) + len(waits) == WRONG
    assert waits, "nobody had to wait"
    # Each place and each login that was tried, and no more than can be remembered.
    assert len(attempts) == min(len(told) + PLACES + FREE + 1, REMEMBERED)
    first, *later = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert first == "1 login refused, the last from 127.0.1.1"
    assert len(later) < 3  # one a minute
