"""Schemes: what a URL stands for, and what is said of one that stands for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import sig
from sig.carriers import TCPClient, TCPServer, register, schemes


class Scented(TCPServer):
    options = ("scent",)

    def __init__(self, url: str, *, scent: str = "none") -> None:
        super().__init__(url.replace("smoke", "tcp"))
        self.scent = scent


class Smelling(TCPClient):
    def __init__(self, url: str) -> None:
        super().__init__(url.replace("smoke", "tcp"))


@pytest.fixture
def smoke() -> Iterator[None]:
    register("smoke", server=Scented, client=Smelling)
    yield
    del schemes._SCHEMES["smoke"]


def test_a_url_whose_scheme_nobody_knows_is_told_what_there_is() -> None:
    for verb in (sig.serve, sig.connect):
        with pytest.raises(sig.InvalidArgument, match="unknown scheme 'smoke': known are local://, tcp://"):
            verb("smoke://signals")


@pytest.mark.usefixtures("smoke")
def test_a_scheme_of_ones_own_is_used_as_the_others_are() -> None:
    with sig.serve("smoke://127.0.0.1:0", scent="cedar") as server:
        (carrier,) = server._carriers
        assert isinstance(carrier, Scented)
        assert carrier.scent == "cedar"
        with sig.connect(server.urls[0].replace("tcp", "smoke")) as client:
            assert client.senders() == []
        added = server.add_carrier("smoke://127.0.0.1:0", scent="pine")
        assert added.startswith("tcp://")
        assert isinstance(server._carriers[1], Scented)
        assert server._carriers[1].scent == "pine"


@pytest.mark.usefixtures("smoke")
def test_a_scheme_can_be_taken_once() -> None:
    with pytest.raises(sig.InvalidArgument, match="'smoke' is taken"):
        register("smoke", server=Scented, client=Smelling)
    with pytest.raises(sig.InvalidArgument, match="no word of small letters"):
        register("Smoke2", server=Scented, client=Smelling)


@pytest.mark.parametrize("options", [{"scent": "cedar"}, {"max_frames": 3}])
def test_an_option_that_nobody_takes_is_no_option(options: dict[str, Any]) -> None:
    with pytest.raises(sig.InvalidArgument, match="there is no option"):
        sig.serve("tcp://127.0.0.1:0", **options)
    with pytest.raises(sig.InvalidArgument, match="there is no option"):
        sig.connect("tcp://127.0.0.1:1", **options)


def test_tls_needs_a_scheme_that_goes_with_it() -> None:
    with pytest.raises(sig.InvalidArgument, match="write tls:// or wss://"):
        sig.serve("tcp://127.0.0.1:0", tls={"cert": "x"})


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(sig.InvalidArgument, match=r"needs the package 'nowhere': pip install 'pysig\[far\]'"):
        schemes._make("nowhere.to_be:Found", "far", "far://away", {})
