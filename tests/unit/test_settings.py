"""What users set by name goes to who takes it, and what nobody takes is refused."""

from __future__ import annotations

import pytest

import sig
from sig.carriers.schemes import client_carrier
from sig.settings import check_taken, sorted_out


def test_limits_are_the_routers_and_the_rest_is_for_carriers() -> None:
    limits, options = sorted_out({"request_timeout_s": 3, "tls": None, "baudrate": 9600})
    assert (limits.request_timeout_s, options) == (3, {"baudrate": 9600})


def test_what_no_carrier_takes_is_refused() -> None:
    tls, tcp = (client_carrier(f"{scheme}://localhost:1", {}) for scheme in ("tls", "tcp"))
    check_taken({"tls": object()}, [tcp, tls])
    with pytest.raises(sig.InvalidArgument, match="tls= needs an address that goes with it: write tls:// or wss://"):
        check_taken({"tls": object()}, [tcp])
    with pytest.raises(sig.InvalidArgument, match=r"origins= \(--origin\) needs an address .* write ws:// or wss://"):
        check_taken({"origins": []}, [tcp, tls])
    with pytest.raises(sig.InvalidArgument, match="baudrate"):
        check_taken({"baudrate": 9600}, [tcp, tls])
