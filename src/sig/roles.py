"""A server and its clients, as both faces see them: what a `ServerRouter` and a `ClientRouter` are beside routers."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, TypeAlias, TypeVar

from sig.callables import describe
from sig.carriers.address import default_url
from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.carriers.schemes import client_carrier, server_carrier
from sig.codecs import as_codecs
from sig.constants import Limits
from sig.drivers.aio import ServerDriver
from sig.drivers.links import Link
from sig.errors import Closed, ConnectFailed, Denied, InvalidArgument, SigError
from sig.gate import Gate
from sig.linked import Linked, left
from sig.log import logger
from sig.protocol.login import as_prover
from sig.protocol.offline import POLICIES, Offline
from sig.protocol.server import ServerCore
from sig.returning import Returning
from sig.sender import Owned
from sig.steps import Steps
from sig.subscription import Subscription

T = TypeVar("T")


class Serving(Linked):
    """What is a server's."""

    _not_yet = "does not run yet: start it first"

    def __init__(
        self,
        carriers_or_urls: tuple[ServerCarrier | str, ...],
        codec: object,
        public: bool,
        settings: dict[str, Any],
        *,
        auth: object = None,
        acl: object = None,
        **options: Any,
    ) -> None:
        self._gate = Gate(auth, acl)
        limits, self._carrier_options = _sorted_out(settings)
        self._carriers: list[ServerCarrier] = [self._carrier_for(each) for each in carriers_or_urls]
        _check_taken(self._carrier_options, self._carriers)
        super().__init__(limits, **options)
        self._insecure_public = public
        self._wanted_codec = codec
        for carrier in self._carriers:
            carrier.router = self
        self._server: ServerDriver | None = None
        self._serves = False  # somebody may come; before that the server is there for what is registered here
        self._preparing: Any = None  # a flag, while it comes to be
        self._urls: list[str] = []

    def __repr__(self) -> str:
        state = "closed" if self._closing else f"serving {', '.join(self._urls)}" if self._serves else "not started"
        return f"<{type(self).__name__}, {state}>"

    def _carrier_for(self, carrier_or_url: ServerCarrier | str, **options: Any) -> ServerCarrier:
        if isinstance(carrier_or_url, ServerCarrier):
            return carrier_or_url
        return server_carrier(carrier_or_url, self._carrier_options | options)

    @property
    def urls(self) -> list[str]:
        """The addresses as bound, in the order given."""
        return list(self._urls)

    def _make_server(self, core: ServerCore) -> tuple[ServerDriver, Link]:
        """The server's driver, on a loop that runs, and the link from this router to it."""
        raise NotImplementedError

    def _on_loop(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> Any:
        """Run something on the server's loop. A step."""
        raise NotImplementedError

    def _stop_loop(self, timeout: float) -> Any:
        """The server is not needed any more. A step."""
        raise NotImplementedError

    def _starting(self) -> Steps[None]:
        self._check_open(self._closing)
        if self._serves:
            raise InvalidArgument("this server runs already")
        bound: list[ServerCarrier] = []
        try:
            for carrier in self._carriers:
                self._urls.append(carrier.bind(public=self._public))
                bound.append(carrier)
            yield from self._prepared()
            yield from self._letting_in()
        except BaseException:
            self._urls.clear()
            for carrier in bound:
                carrier.unbind()
            raise

    def _letting_in(self) -> Steps[None]:
        server = self._server
        assert server is not None  # it is prepared
        self._serves = True
        try:
            for carrier in self._carriers:
                yield partial(self._on_loop, carrier.serve(server), self.limits.connect_timeout_s)
        except BaseException:
            yield from self._closing_down(0)  # somebody may have come already
            raise

    def _prepared(self) -> Steps[None]:
        """The server is there, and lets nobody in: what is registered now is there when the first client comes."""
        with self._lock:
            if self._server is not None:
                return
            self._check_open(self._closing)
            others, ours = self._preparing, self._runtime.flag()
            if others is None:
                self._preparing = ours
        if others is not None:
            yield partial(others.wait, self.limits.handshake_timeout_s)
            return
        try:
            yield from self._running()
        finally:
            self._preparing = None
            ours.set()

    def _attach(self, subscription: Subscription) -> Steps[None]:
        yield from self._prepared()
        yield from super()._attach(subscription)

    def _claim(self, sender: Owned) -> Steps[None]:
        yield from self._prepared()
        yield from super()._claim(sender)

    def _running(self) -> Steps[None]:
        codecs = as_codecs(self._wanted_codec)
        if self._carriers:
            codecs = {}
            for carrier in self._carriers:
                codecs |= carrier.codecs(self._wanted_codec) | codecs
        access = self._gate.access()
        now = time.monotonic()
        core = ServerCore(
            self.limits,
            node=socket.gethostname(),
            epoch=secrets.randbits(64),
            wall_offset=time.time() - now,
            random64=self._runtime.random64,
            codecs=codecs,
            access=access,
        )
        server, link = self._make_server(core)
        try:
            yield from self._connecting(link, codecs, self.limits.handshake_timeout_s, "server")
        except BaseException:
            yield partial(self._stop_loop, self.limits.close_timeout_s)
            raise
        self._server = server
        try:
            yield partial(self._on_loop, self._gate.start(server), self.limits.close_timeout_s)
        except BaseException:
            yield from self._closing_down(0)
            raise

    @property
    def _public(self) -> bool:
        """Whether other machines may be let in."""
        return self._insecure_public or self._gate.authenticates

    def _governing(self, acl: object) -> Steps[None]:
        self._check_open(self._closing)
        if self._server is None:
            raise InvalidArgument("this server does not run yet: start it first")
        yield partial(self._on_loop, self._gate.change(self._server, acl), self.limits.close_timeout_s)

    def _adding_carrier(self, carrier_or_url: ServerCarrier | str, options: dict[str, Any]) -> Steps[str]:
        self._check_open(self._closing)
        if self._server is None or not self._serves:
            raise InvalidArgument("this server does not run yet: start it first")
        carrier = self._carrier_for(carrier_or_url, **options)
        _check_taken(options, [carrier])
        core = self._server.core
        core.codecs = {**carrier.codecs(self._wanted_codec), **core.codecs}
        url = carrier.bind(public=self._public)
        carrier.router = self
        try:
            yield partial(self._on_loop, carrier.serve(self._server), self.limits.connect_timeout_s)
        except BaseException:
            yield partial(self._on_loop, carrier.close(), self.limits.close_timeout_s)
            raise
        self._carriers.append(carrier)
        self._urls.append(url)
        return url

    def _removing_carrier(self, carrier_or_url: ServerCarrier | str) -> Steps[bool]:
        for position, carrier in enumerate(self._carriers):
            if carrier is carrier_or_url or self._urls[position : position + 1] == [carrier_or_url]:
                if self._serves:
                    yield partial(self._on_loop, carrier.close(), self.limits.close_timeout_s)
                del self._carriers[position], self._urls[position : position + 1]
                return True
        return False

    def _reloading(self) -> Steps[None]:
        self._check_open(self._closing)
        if self._serves:
            for carrier in self._carriers:
                yield partial(self._on_loop, carrier.reload(), self.limits.connect_timeout_s)

    def _draining(self, timeout: float | None) -> Steps[bool]:
        if self._server is None or not self._serves or self._closing:
            return True
        limit = self.limits.drain_timeout_s if timeout is None else timeout
        deadline = time.monotonic() + limit
        for carrier in self._carriers:
            yield from self._quietly(carrier.close(), left(deadline))
        answered: bool = yield partial(self._on_loop, self._server.drain(left(deadline)), limit + 1)
        return answered

    def _dismiss_clients(self, deadline: float) -> Steps[None]:
        if self._server is None:
            return
        for carrier in self._carriers if self._serves else ():
            yield from self._quietly(carrier.close(), left(deadline))
        # Half of the time: one client who reads nothing must not cost our own listeners what is in their queues.
        timeout = left(deadline) / 2
        yield from self._quietly(self._server.dismiss(timeout), timeout)

    def _end_server(self, deadline: float) -> Steps[None]:
        if self._server is not None:
            yield from self._quietly(self._gate.stop(), 1)
            yield partial(self._stop_loop, max(1.0, left(deadline)))

    def _quietly(self, step: Coroutine[Any, Any, None], timeout: float) -> Steps[None]:
        try:
            yield partial(self._on_loop, step, timeout + 1)  # our own loop has other things to do than to wait
        except TimeoutError:
            pass  # what does not end in time ends with its loop


def _sorted_out(settings: dict[str, Any]) -> tuple[Limits, dict[str, Any]]:
    """What are limits, and what carriers shall take."""
    known = {field.name for field in fields(Limits)}
    limits = Limits.of(**{name: value for name, value in settings.items() if name in known})
    return limits, {name: value for name, value in settings.items() if name not in known and value is not None}


def _check_taken(options: dict[str, Any], carriers: Iterable[ServerCarrier | ClientCarrier]) -> None:
    """Raise `InvalidArgument` for an option that none of the carriers takes."""
    for name, value in options.items():
        takers = [carrier for carrier in carriers if name in carrier.options]
        if takers:
            continue
        if name == "tls":
            raise InvalidArgument("tls= needs an address that goes with it: write tls:// or wss://")
        Limits.of(**{name: value})  # which says what there is


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
        limits, carrier_options = _sorted_out(settings)
        one = carrier_or_url is None or isinstance(carrier_or_url, str | ClientCarrier)
        places: Any = [carrier_or_url] if one else carrier_or_url
        if not places:
            raise InvalidArgument("connect needs at least one address: the list is empty")
        self._carriers = [_client_carrier(place, carrier_options) for place in places]
        _check_taken(carrier_options, self._carriers)
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
        with what they get; `closed` where the router was closed."""
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
        """`connecting` (not connected yet), `connected`, `away` (the link was lost), or `closed`."""
        driver = self._driver
        if self._closing:
            return "closed"
        if driver is not None and driver.core.parted:
            return "away"
        if driver is None or not driver.core.opened:
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

    def _opening(self) -> Steps[None]:
        self._check_open(self._closing)
        if self._driver is not None:
            raise InvalidArgument("this client is connected already")
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
