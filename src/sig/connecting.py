"""What a client is beside a router, in both faces: where its link leads, its states, and whom it tells of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

from sig.callables import describe
from sig.carriers.address import default_url
from sig.carriers.base import ClientCarrier
from sig.carriers.schemes import client_carrier
from sig.drivers.links import Link
from sig.errors import Closed, ConnectFailed, ConnectionLost, Denied, InvalidArgument, SigError
from sig.info import info_of
from sig.linked import Linked
from sig.log import logger
from sig.protocol.login import as_prover
from sig.protocol.offline import POLICIES, Offline
from sig.returning import Returning
from sig.sender import Owned
from sig.settings import check_taken, sorted_out
from sig.steps import Steps

# Of servers: one, or several to be tried in turn.
Where: TypeAlias = ClientCarrier | str | Sequence[ClientCarrier | str]


def _client_carrier(place: ClientCarrier | str | None, options: dict[str, Any]) -> ClientCarrier:
    return (
        place
        if isinstance(place, ClientCarrier)
        else client_carrier(default_url() if place is None else place, options)
    )


def _comes_back(wanted: bool | None, carriers: list[ClientCarrier]) -> bool:
    """Whether a lost link is tried again: as the user says, or as the carriers can."""
    if wanted is None:
        return all(
            carrier.reopens if carrier.auto_reconnect is None else carrier.auto_reconnect for carrier in carriers
        )
    for carrier in carriers:
        if wanted and not carrier.reopens:
            raise InvalidArgument(f"{carrier} cannot be opened a second time: leave reconnect=True out")
    return wanted


class Connecting(Linked):
    """What is a client's."""

    def __init__(
        self,
        carrier_or_url: Where | None,
        codec: object,
        name: str,
        timeout: float | None,
        send_timeout: float | None,
        settings: dict[str, Any],
        *,
        auth: object = None,
        reconnect: bool | None = None,
        offline: str = "buffer",
        reliable: bool = False,
        **options: Any,
    ) -> None:
        self._prover = as_prover(os.environ.get("SIG_TOKEN") or None if auth is None else auth)
        for limit, value in (("connect_timeout_s", timeout), ("send_timeout_s", send_timeout)):
            if value is not None:
                settings[limit] = value
        if timeout is not None:  # who waits so long for a link waits no longer for the first words on it
            settings.setdefault("handshake_timeout_s", timeout)
        limits, carrier_options = sorted_out(settings)
        one = isinstance(carrier_or_url, str | ClientCarrier) or not isinstance(carrier_or_url, Iterable)
        places: Any = [carrier_or_url] if one else carrier_or_url
        if not places:
            raise InvalidArgument("connect needs at least one address: the list is empty")
        self._carriers = [_client_carrier(place, carrier_options) for place in places]
        check_taken(carrier_options, self._carriers)
        if offline not in POLICIES:
            raise InvalidArgument(f"offline={offline!r} is unknown: choose one of {', '.join(POLICIES)}")
        super().__init__(limits, **options)
        self._offline_policy = offline
        if _comes_back(reconnect, self._carriers):
            self._returning = Returning(self, self._carriers, self._runtime.random)
        elif reliable:
            raise InvalidArgument("reliable=True needs a link that comes back: leave reconnect=False out")
        self._reliable = reliable
        self.on_state: Callable[[str], object] | None = None
        """Called with the state when it has become another: `connected` and `away` where listeners are called, in order
        with what they get; `closed` where the router was closed. Set it before `open`, or it may miss the first."""
        self.on_name_lost: Callable[[Owned], object] | None = None
        """Called with a sender whose name was taken while the link was away, where listeners are called. It is not
        connected then; the name is asked for again and again."""
        self.on_connected: Callable[[], object] | None = None
        """Called when the link has come up, and each time it has come back with all that was registered."""
        self.on_disconnected: Callable[[], object] | None = None
        """Called when the link has gone and listeners have been given all that came before, where they are called."""
        self._up = self._runtime.flag()  # the link is up, or never will be
        self._name = name
        self._wanted_codec = codec
        self._told_up = False  # the user has been told that the link is up, and not yet that it has gone
        for carrier in self._carriers:
            carrier.router = self

    @property
    def _carrier(self) -> ClientCarrier:
        """Where the link leads, or will lead."""
        return self._carriers[0] if self._returning is None else self._returning.carrier

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._carrier}, {self.state}>"

    @property
    def state(self) -> str:
        """`connecting` (never connected yet), `connected`, `away` (lost, or it will never come), or `closed`."""
        driver = self._driver
        if self._closing:
            return "closed"
        if driver is not None and driver.core.parted:
            return "away"
        if driver is None or (driver.core.welcome is None and self._lost is None):
            return "connecting"
        return "away" if driver.core.closed or driver.core.away else "connected"

    def _open_link(self, carrier: ClientCarrier) -> Any:
        """A link to a server. A step."""
        raise NotImplementedError

    def _aside(self, steps: Steps[None]) -> None:
        """Walk these beside all that goes on. From any thread."""
        raise NotImplementedError

    def _end_aside(self, timeout: float) -> Any:
        """They are to end, and nobody waits longer than that for it. A step."""
        raise NotImplementedError

    def _offline(self) -> Offline | None:
        if self._returning is None:
            return None
        return Offline(self._offline_policy, self.limits.offline_bytes, self.limits.offline_s)

    def _opening(self, wait: bool) -> Steps[None]:
        self._check_open(self._closing)
        if self._driver is not None:
            raise InvalidArgument("this client is connected already")
        if not wait:
            self._opening_later()
            return
        for number in range(len(self._carriers), 0, -1):
            try:
                yield from self._opening_one()
                break
            except ConnectFailed as error:
                if number == 1:
                    raise
                if self._returning is not None:
                    self._returning.missed(error)
        if self._returning is not None:
            self._returning.opened()
        with self._lock:
            if self.state == "connected":  # else it is lost again already
                self._up.set()
        self._told_up = True
        self._tell(self.on_connected, self._carrier.on_connected)
        self._tell_state("connected")

    def _opening_later(self) -> None:
        """The link comes when it can: until then all is as if it had been lost."""
        if self._returning is None:
            raise InvalidArgument(
                "wait=False needs a link that is tried again: leave reconnect=False out, and take an address that can "
                "be opened a second time"
            )
        for carrier in self._carriers:
            self._check_exposed(carrier)
        driver = self._prepare(self._carrier.codecs(self._wanted_codec), self._name)
        driver.begin_away()
        self._codec = driver.core.codec
        with self._lock:
            self._joined = True
            self._returning.begin(driver)

    def _check_exposed(self, carrier: ClientCarrier) -> None:
        if self._prover is not None and self._prover.bare and carrier.exposed:
            raise InvalidArgument(
                f"what auth= says would cross the network for all to read on its way to {carrier}: use tls:// or wss://"
            )

    def _opening_one(self) -> Steps[None]:
        carrier = self._carrier
        self._check_exposed(carrier)
        link: Link = yield partial(self._open_link, carrier)
        try:
            codecs = carrier.codecs(self._wanted_codec)
            yield from self._connecting(link, codecs, self.limits.handshake_timeout_s, self._name)
        except (Closed, ConnectFailed, Denied, InvalidArgument):
            raise
        except SigError as error:
            raise ConnectFailed(f"cannot connect to {carrier}: {error}") from error

    def _waiting_connected(self, timeout: float | None) -> Steps[bool]:
        yield partial(self._up.wait, timeout)
        return self.state == "connected"

    def _closing_down(self, timeout: float | None) -> Steps[None]:
        first = not self._closing
        yield from super()._closing_down(timeout)
        self._up.set()
        if first:
            self._tell_state("closed")

    def _over(self) -> None:
        """The listeners have been given all that came before the link went down for good."""
        driver = self._driver
        if driver is not None and driver.core.welcome is None and self._lost is not None:
            # Nobody waited for it, so nobody has been told why it will never be there.
            error = driver.core.error or ConnectionLost(self._lost)
            self._complaints.tell(error, self, info_of("", ""))
            self._tell_state("away")
        self._parted()

    def _parted(self) -> None:
        if self._told_up:  # else it never was connected
            self._told_up = False
            self._tell(self.on_disconnected, self._carrier.on_disconnected)
            if not self._closing:
                self._tell_state("away")

    def _rejoined(self) -> None:
        self._told_up = True
        self._tell(self.on_connected, self._carrier.on_connected)
        self._tell_state("connected")

    def _tell_state(self, state: str) -> None:
        if self.on_state is not None:
            self._tell(partial(self.on_state, state))

    def _tell_name_lost(self, sender: Owned) -> None:
        if self.on_name_lost is not None:
            self._tell(partial(self.on_name_lost, sender))

    def _tell(self, *callbacks: Callable[[], object] | None) -> None:
        """Call what the user has set, at this router or, as in pysig 0.7, at its carrier."""
        for callback in callbacks:
            if callback is None:
                continue
            try:
                callback()
            except Exception as error:  # there is a link to close
                logger.error(f"{describe(callback)} failed: {type(error).__name__}: {error}")
