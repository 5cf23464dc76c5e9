"""R35. A handler's exception was sent as text that could itself raise; type and message arrive, no traceback."""

from __future__ import annotations

import pytest

import sig


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "kind"), [(KeyError("x"), "KeyError"), (Unspeakable(), "Unspeakable"), (OSError("é\ud800"), "OSError")]
)
def test_type_and_message_arrive_and_nothing_else(error: Exception, kind: str) -> None:
    def fail(params: object) -> None:
        raise error

    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"m": fail})
        with pytest.raises(sig.RemoteError) as caught:
            client.request("s", "m")
        assert (caught.value.type, caught.value.traceback) == (kind, None)
