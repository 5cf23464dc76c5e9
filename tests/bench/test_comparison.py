"""What the page that compares says of this library is what this library does."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.comparison import of_sig
from benchmarks.comparison.asking import QUESTIONS, Found


@pytest.mark.slow
def test_our_own_column_is_true() -> None:
    found: Found = {}
    asyncio.run(of_sig.probe(found))
    assert found.keys() == QUESTIONS.keys()
    begins = {
        "absent": "`SenderNotConnected`",
        "unknown": "`MethodNotFound`",
        "fails": "`RemoteError`: Boom: boom",
        "type": "`RequestFailed`: request 'count' takes int",
        "cancelled": "yes",
        "gone": "`ConnectionLost`",
        "presence": "yes: #connect, #disconnect lost",
        "late": "yes: [42]",
        "group": "100 arrive",
    }
    assert {name: found[name] for name, text in begins.items() if not found[name].startswith(text)} == {}
