"""The session of reference over links that are cut, with `reliable=True`: nothing may be lost, doubled or reordered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from conformance.carriers import CARRIERS
from net.book import LIMIT_S, Book

import sig
from sig.testing import Ends, Fault, Faults
from sig.testing.faults import Way

EVENTS = 10
# All of them, at every byte: python -m benchmarks.reliability reliable. A pipe to a child cannot be opened again.
OVER = ("local", "tcp", "unix", "ws", "wss", "tls", "medium", "serial")
QUICK: dict[str, float] = {"reconnect_first_s": 0.001, "reconnect_longest_s": 0.01}


class Cuts(Faults):
    """One fault for each of the first links; all others are sound."""

    def __init__(self, *links: dict[str, Fault]) -> None:
        super().__init__()
        self._each = links

    def _take(self) -> tuple[Way, Way]:
        super()._take()
        faults = self._each[self.opened - 1] if self.opened <= len(self._each) else {}
        return Way(faults.get("sent", Fault())), Way(faults.get("received", Fault()))


class OfOneWelcome(Way):
    """Cut as soon as the handshake has come."""

    @property
    def cut(self) -> bool:
        return self._passed > 100


class Hasty(Faults):
    """The first link is down in the instant in which it is up."""

    def _take(self) -> tuple[Way, Way]:
        sent, received = super()._take()
        return sent, OfOneWelcome(Fault()) if self.opened == 1 else received


class World:
    """A server of one carrier with a sender of its own, and what it hears of the client."""

    def __init__(self, server: sig.ServerRouter, ends: Any) -> None:
        self.server = server
        self._ends = ends
        self.heard = Book()
        self.asked: list[object] = []
        for event in ("e", "#connect", "#disconnect"):
            server.listen(self.heard.hear, "c", event, on_gap=self.heard.gap)
        self.sender = server.add_sender("s", "e", {"echo": self._echo})

    def _echo(self, params: object) -> object:
        self.asked.append(params)
        return params

    def connect(self, faults: Faults, **options: Any) -> Any:
        class api:  # stands for the module
            @staticmethod
            def connect(url: Any, **given: Any) -> sig.ClientRouter:
                # Certificates and the like are the carrier's.
                return sig.connect(faults.upon(url, **given), reliable=True, **QUICK, **options)  # type: ignore[arg-type]

        return self._ends.connect(api, self.server)

    def bid_farewell(self) -> None:
        """Wait until the client has left. A goodbye that is lost costs the server `session_s`, and nobody an event."""
        deadline = time.monotonic() + LIMIT_S
        while self.server.stats().totals.clients > 1 or not self.heard.comes("#disconnect", 0):
            for client in self.server.clients():
                self.server.kick(client.client)
            assert time.monotonic() < deadline, f"the server has not heard that it left: {self.heard.story}"


@contextmanager
def _serial() -> Iterator[Ends]:
    from carriers.cable import Cable  # which not every system has

    with Cable() as cable:
        here, there = (f"serial://{path}?baudrate=4000000" for path in (cable.here, cable.there))
        yield Ends(
            serve=lambda api, **options: api.serve(here, **options),
            connect=lambda api, server, **options: api.connect(there, **options),
        )


@contextmanager
def world(carrier: str) -> Iterator[World]:
    make = _serial if carrier == "serial" else CARRIERS[carrier]
    with make() as ends, ends.serve(sig) as server:
        yield World(server, ends)


def session(there: World, faults: Cuts) -> tuple[dict[str, int], dict[str, int]]:
    """A handshake, a listener, a sender, events both ways, requests both ways, a goodbye: all as if the link held.

    Returns how many bytes there were each way on the last link, after the handshake and before the goodbye.

    Raises:
        ConnectFailed: it was cut before there was a session.
        AssertionError: something was lost, came twice, or in another order, or somebody was told of a loss.
    """
    there.heard.story.clear()
    there.asked.clear()
    mine = Book()
    asked: list[object] = []

    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    with there.connect(faults) as client:
        began = {"sent": faults.bytes_sent, "received": faults.bytes_received}
        client.listen(mine.hear, "s", "e", on_gap=mine.gap)
        sender = client.add_sender("c", "e", {"double": double})
        for number in range(EVENTS):
            sender.trigger("e", number)
            there.sender.trigger("e", number)
        assert client.request("s", "echo", {"a": [1]}, timeout=LIMIT_S) == {"a": [1]}
        assert there.server.request("c", "double", 21, timeout=LIMIT_S) == 42
        client.flush()
        mine.wait(EVENTS - 1)
        ended = {"sent": faults.bytes_sent, "received": faults.bytes_received}
    there.bid_farewell()
    check(mine.story, there.heard.story)
    assert (there.asked, asked) == ([{"a": [1]}], [21]), "a request was carried out twice"
    return began, ended


def check(at_client: list[object], at_server: list[object]) -> None:
    """Raise `AssertionError` unless both ends have heard all, once, in order, and nothing of a loss."""
    everything = list(range(EVENTS))
    assert at_client == everything, f"the client heard {at_client}"
    assert at_server == ["#connect", *everything, "#disconnect"], f"the server heard {at_server}"


@dataclass
class Found:
    """What has been tried."""

    cut: int = 0
    """Sessions that lost a link."""
    links: int = 0
    """Links that were lost, and another went on."""
    events: int = 0
    """That were heard in these sessions, at both ends."""


def cut_anywhere(carrier: str, step: int, first: int, found: Found | None = None) -> Found:
    """Cut the session at every so many bytes from the first on: its first link, and the one that takes its place.

    Raises:
        AssertionError: something was lost, came twice, or in another order; says where the cut was.
    """
    found = found or Found()
    first %= step
    with world(carrier) as there:
        began, ended = session(there, Cuts())
        for direction in ("sent", "received"):
            middle = (began[direction] + ended[direction]) // 2
            for at in range(began[direction] + first, ended[direction], step):
                _lost(there, Cuts({direction: Fault(cut_at=at)}), f"{direction}, {at}", found)
            for at in range(first, ended[direction], step):
                # Its handshake, and what is sent again.
                faults = Cuts({direction: Fault(cut_at=middle)}, {direction: Fault(cut_at=at)})
                _lost(there, faults, f"{direction}, {middle}, then {at}", found)
    return found


def _lost(there: World, faults: Cuts, where: str, found: Found) -> None:
    """A session that may lose links."""
    try:
        session(there, faults)
    except sig.ConnectFailed:
        return  # a byte earlier than it seemed: there was no session yet
    except (AssertionError, sig.SigError) as error:
        raise AssertionError(f"{where}: {error}") from error
    if faults.opened > 1:
        found.cut += 1
        found.links += faults.opened - 1
        found.events += 2 * EVENTS
