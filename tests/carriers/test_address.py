"""Addresses: what stands in a URL, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest

from sig.carriers.address import Address, default_url, is_loopback, parse, parse_path, split
from sig.errors import InvalidArgument


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://127.0.0.1:3000", Address("127.0.0.1", 3000)),
        ("tcp://localhost", Address("localhost", 3000)),
        ("tcp://[::1]:0/", Address("::1", 0)),
        ("tcp://0.0.0.0:65535", Address("0.0.0.0", 65535)),
    ],
)
def test_a_url_names_a_host_and_a_port(url: str, address: Address) -> None:
    assert parse(url) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("127.0.0.1:3000", "write it like 'tcp://127.0.0.1:3000'"),
        ("", "no scheme"),
        ("localhost:3000", "write it like 'tcp://localhost:3000'"),
        ("tcp://", "names no host"),
        ("tcp://host:port", "is not a URL"),
        ("tcp://host:65536", "is not a URL"),
        ("tcp://[::1", "is not a URL"),
        ("tcp://host:1/path", "more than a host and a port"),
        ("tcp://host:1?x=1", "unknown option 'x': it has none"),
        ("tcp://host:1?x", "is not a URL"),
        ("tcp://host:1#x", "a part that means nothing here"),
        ("tcp://user@host:1", "a part that means nothing here"),
        ("tcp:/host:1", "lacks a slash: write it like 'tcp://host:1'"),
        (5, "is not a URL"),
        (["tcp://host:1", "tcp://host:2"], "and several as serve(one, another)"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_right(url: str, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(url)
    assert told in str(caught.value)


def test_what_stands_behind_the_port_is_read_where_it_may() -> None:
    address = parse("ws://[::1]:80/bus?deep=1", path=True, known=["deep", "flat"])
    assert address == Address("::1", 80, "ws", "/bus")
    assert (str(address), address.name) == ("ws://[::1]:80/bus", "[::1]:80")
    assert split("ws://h/bus?deep=1&flat=", ["deep", "flat"])[1] == {"deep": "1", "flat": ""}
    with pytest.raises(InvalidArgument, match="unknown option 'wide': the options of ws:// are deep, flat"):
        parse("ws://h/bus?wide=1", path=True, known=["flat", "deep"])


def test_a_path_has_three_slashes() -> None:
    assert parse_path("unix:///run/a%20bus.sock", "unix:///run/sig.sock") == "/run/a bus.sock"
    for url in ("unix://run/bus", "unix://", "unix:///"):
        with pytest.raises(InvalidArgument, match="three slashes"):
            parse_path(url, "unix:///run/sig.sock")


def test_the_default_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIG_URL", raising=False)
    assert default_url() == "tcp://127.0.0.1:3000"
    monkeypatch.setenv("SIG_URL", "tcp://example:1")
    assert default_url() == "tcp://example:1"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("example.org", False),
    ],
)
def test_what_only_this_machine_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
