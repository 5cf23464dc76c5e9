"""What of an address counts as one place."""

from __future__ import annotations

import pytest

from sig.security.places import other_machine, place_of

ADDRESSES = [
    # address, place, which other machine that is
    ("tcp://10.0.0.1:4711", "10.0.0.1", "10.0.0.1"),
    ("wss://192.0.2.1:80", "192.0.2.1", "192.0.2.1"),
    ("tls://[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
    ("tcp://[fe80::1%eth0]:1", "fe80::/64", "fe80::/64"),
    ("tcp://[::ffff:10.0.0.1]:1", "10.0.0.1", "10.0.0.1"),
    ("ws://lab.example:8080/sig", "lab.example", "lab.example"),
    ("tcp://127.0.0.1:4711", "127.0.0.1", ""),
    ("tcp://127.8.0.1:4711", "127.8.0.1", ""),
    ("tcp://[::1]:4711", "::1", ""),
    ("tcp://[::ffff:127.0.0.1]:4711", "127.0.0.1", ""),
    ("serial:///dev/ttyUSB0", "/dev/ttyUSB0", ""),
    ("unix pid 4711", "unix", ""),
    ("local", "local", ""),
    ("unknown", "unknown", ""),
]


@pytest.mark.parametrize(("address", "place", "machine"), ADDRESSES)
def test_a_place_is_what_does_not_change_with_each_link(address: str, place: str, machine: str) -> None:
    assert place_of(address) == place
    assert other_machine(address) == machine


def test_one_network_of_ipv6_is_one_place() -> None:
    addresses = [f"tcp://[2001:db8:0:7:{number:x}::{number:x}]:{number}" for number in range(1, 50)]
    assert {place_of(address) for address in addresses} == {"2001:db8:0:7::/64"}
    assert place_of("tcp://[2001:db8:0:8::1]:1") == "2001:db8:0:8::/64"
