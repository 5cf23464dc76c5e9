"""R51. `connect` had no timeout, and showed its socket before it was connected."""

from __future__ import annotations

import socket

import pytest

import sig


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(sig.ConnectFailed, match=r"within 0\.2 s"):
            sig.connect(f"tcp://127.0.0.1:{port}", handshake_timeout_s=0.2)
