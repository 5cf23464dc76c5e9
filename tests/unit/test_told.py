"""What a server tells of itself, and what comes of an answer that nobody can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import sig
from sig import told
from sig.info import ClientInfo, SenderInfo


def test_rows_become_what_users_see() -> None:
    sender = {"name": "s", "events": ["e"], "requests": [None], "since": 1, "address": "local", "instance": 2}
    assert told.senders([sender]) == [SenderInfo("s", ["e"], [None], 1.0, "local", 2, None)]
    client = {"client": 3, "name": "c", "address": "local", "identity": "alice", "source": "token"}
    more = {"groups": ["g"], "expires": None, "senders": ["s"], "subscriptions": 1}
    assert told.clients([client | more]) == [ClientInfo(3, "c", "local", "alice", "token", ["g"], None, ["s"], 1)]
    assert told.stats({"time": 5.0}).time == 5


@pytest.mark.parametrize(
    ("read", "answer", "what"),
    [
        (told.senders, [{"name": 1}], "list of senders"),
        (told.clients, [{}], "list of clients"),
        (told.stats, None, "statistics"),
    ],
)
def test_what_cannot_be_read_is_a_fault_of_the_server(read: Callable[[Any], object], answer: object, what: str) -> None:
    with pytest.raises(sig.ProtocolError, match=f"the server's {what} cannot be read: "):
        read(answer)


@pytest.mark.parametrize(
    ("reason", "error"), [("codec", sig.InvalidData), ("slow", sig.Overloaded), ("too_big", sig.MessageTooBig)]
)
def test_why_a_last_value_does_not_come(reason: str, error: type[sig.SigError]) -> None:
    missing = told.missing("s", "e", reason)
    assert type(missing) is error
    assert str(missing).startswith(f"the last value of event 'e' of sender 's' cannot be had ({reason}): ask again")
