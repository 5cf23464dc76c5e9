"""A server that has no memory left loses those who want more of it, and nobody else."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from net.book import LIMIT_S, Book
from net.raw import Raw

import sig
from sig.protocol.frames import Kind

SERVER = Path(__file__).with_name("memory_server.py")
GREEDY = 10
# Nearly what a frame may be: all but its end is sent, and the server has to keep it.
BODY = 16 * 1024 * 1024 - 100
UNFINISHED = struct.pack("<IBBHI", BODY, Kind.EVENT, 0, 1, 1) + bytes(BODY - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded in another way elsewhere")
@pytest.mark.timeout(120)
def test_who_wants_more_than_there_is_loses_its_link_and_others_keep_theirs() -> None:
    with subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        try:
            with sig.connect(url, reconnect=False) as honest, ExitStack() as stack:
                heard = Book()
                honest.listen(heard.hear, "s", "e")
                sender = honest.add_sender("s", ["e"])
                for number in range(GREEDY):
                    greedy = stack.enter_context(Raw.client(url))
                    try:
                        greedy.send(UNFINISHED)
                    except OSError:
                        pass  # the server has given it up
                    sender.trigger("e", number)
                    heard.wait(number)
                assert heard.story == list(range(GREEDY))
                assert len(honest.stats().links) < 1 + 1 + GREEDY
                with sig.connect(url, timeout=LIMIT_S) as late:
                    late.flush()
        finally:
            _, told = child.communicate(timeout=LIMIT_S)
    assert "MemoryError" in told
    assert child.returncode == 0
