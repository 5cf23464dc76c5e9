"""R32. A second claim of a name was refused by the server and reported as success to the claimant."""

from __future__ import annotations

import pytest

import sig


def test_the_second_claimant_is_told() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as first,
        sig.connect(server.urls[0]) as second,
    ):
        first.add_sender("s", "e")
        with pytest.raises(NameError, match="already connected"):
            second.addRemoteSender("s", "e")
        assert not isinstance(second.get_sender("s"), sig.Sender)
