"""R38. The answer `None` became `{}`, and a failure became `None`."""

from __future__ import annotations

import pytest

import sig


@pytest.mark.parametrize("answer", [None, {}, [], 0, False, ""])
def test_every_answer_is_itself(answer: object) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"m": lambda params: answer})
        found = client.request("s", "m")
        assert (found, type(found)) == (answer, type(answer))
