"""Routers with links, in the blocking face: `serve` and `connect`."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from sig.alias import alias
from sig.callables import describe
from sig.carriers.address import default_url
from sig.carriers.tcp import TCPClient, TCPServer
from sig.codecs import Codec, as_codec
from sig.constants import Limits
from sig.drivers.aio import ServerDriver
from sig.drivers.inside import InsideLink
from sig.drivers.loops import LoopThread
from sig.errors import Closed, ConnectFailed, InvalidArgument, SigError
from sig.linked import LinkedRouter, left
from sig.log import logger
from sig.protocol.server import ServerCore
from sig.router import Name
from sig.sender import Event, Sender
from sig.signal import Signal


class ServerRouter(LinkedRouter):
    """A router for this process and every client that connects. Runs its own thread; every method from any thread.

    Args:
        carriers_or_urls: `tcp://host:port` (port 0 takes a free one), or carriers.
        codec: `"json"`, or an object with `encode` and `decode`; every client must have the same. Carriers that
            override `pack` and `unpack` go by these.
        insecure_public: allow addresses that other machines can reach, although everybody may do everything.
        executor: runs request handlers and queued listeners; by default eight threads.
        limits: rows of the table of limits, by name: `max_frame_bytes=...`.
    """

    def __init__(
        self,
        *carriers_or_urls: TCPServer | str,
        codec: object = "json",
        insecure_public: bool = False,
        executor: Any = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
        **limits: float,
    ) -> None:
        super().__init__(
            Limits.of(**limits),
            executor=executor,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )
        self._insecure_public = insecure_public
        self._wanted_codec = codec
        self._carriers: list[TCPServer] = [TCPServer(c) if isinstance(c, str) else c for c in carriers_or_urls]
        for carrier in self._carriers:
            carrier.router = self
        self._loop: LoopThread | None = None
        self._server: ServerDriver | None = None
        self._urls: list[str] = []

    @property
    def urls(self) -> list[str]:
        """The addresses as bound, in the order given."""
        return list(self._urls)

    def start(self) -> None:
        """Begin to serve.

        Raises `ConnectFailed` when a port cannot be had, and `InvalidArgument` for a public address or what is no
        codec. Nothing has been begun then.
        """
        self._check_open(self._closing)
        if self._loop is not None:
            raise InvalidArgument("this server runs already")
        wanted = as_codec(self._wanted_codec)
        codec = self._carriers[0].codec(wanted) if self._carriers else wanted
        for carrier in self._carriers:
            _check_codec(carrier, wanted, codec)
        bound: list[TCPServer] = []
        try:
            for carrier in self._carriers:
                self._urls.append(carrier.bind(public=self._insecure_public))
                bound.append(carrier)
            self._run(codec)
        except BaseException:
            self._urls.clear()
            for carrier in bound:
                carrier.unbind()
            raise

    def _run(self, codec: Codec) -> None:
        now = time.monotonic()
        core = ServerCore(
            self.limits,
            node=socket.gethostname(),
            epoch=secrets.randbits(64),
            wall_offset=time.time() - now,
            random64=self._runtime.random64,
            codec=codec.name,
        )
        loop = LoopThread("sig-server")
        server = ServerDriver(core, self.limits, loop.loop)
        try:
            self._connect(InsideLink(server), codec, self.limits.handshake_timeout_s, "server")
        except BaseException:
            loop.stop(self.limits.close_timeout_s)
            raise
        self._loop, self._server = loop, server
        for carrier in self._carriers:
            loop.run(carrier.serve(server), self.limits.connect_timeout_s)

    def add_carrier(self, carrier_or_url: TCPServer | str) -> str:
        """Serve on one more address; returns it as bound. Raises as `start`."""
        self._check_open(self._closing)
        if self._loop is None or self._server is None:
            raise InvalidArgument("this server does not run yet: start it first")
        carrier = TCPServer(carrier_or_url) if isinstance(carrier_or_url, str) else carrier_or_url
        _check_codec(carrier, self._wanted_codec, self._codec)
        url = carrier.bind(public=self._insecure_public)
        carrier.router = self
        self._loop.run(carrier.serve(self._server), self.limits.connect_timeout_s)
        self._carriers.append(carrier)
        self._urls.append(url)
        return url

    def remove_carrier(self, carrier_or_url: TCPServer | str) -> bool:
        """Accept nobody there any more; clients that are connected stay. False if there is no such carrier."""
        for position, carrier in enumerate(self._carriers):
            if carrier is carrier_or_url or self._urls[position : position + 1] == [carrier_or_url]:
                if self._loop is not None:
                    self._loop.run(carrier.close(), self.limits.close_timeout_s)
                del self._carriers[position], self._urls[position : position + 1]
                return True
        return False

    def _dismiss_clients(self, deadline: float) -> None:
        if self._server is None:
            return
        for carrier in self._carriers:
            self._run_quietly(carrier.close(), left(deadline))
        # Half of the time: one client who reads nothing must not cost our own listeners what is in their queues.
        timeout = left(deadline) / 2
        self._run_quietly(self._server.dismiss(timeout), timeout)

    def _end_server(self, deadline: float) -> None:
        if self._loop is not None and self._server is not None:
            self._loop.loop.call_soon_threadsafe(self._server.stop)
            self._loop.stop(max(1.0, left(deadline)))

    def _run_quietly(self, step: Coroutine[Any, Any, None], timeout: float) -> None:
        assert self._loop is not None  # there is a server
        try:
            self._loop.run(step, timeout + 1)  # it is our own loop, which has other things to do than to wait
        except TimeoutError:
            pass  # what does not end in time ends with its loop

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    stop: Final = alias(LinkedRouter.close)


def _check_codec(carrier: TCPServer, wanted: object, codec: Codec) -> None:
    if carrier.codec(wanted).name != codec.name:
        raise InvalidArgument("the carriers of one server must encode alike: give all the same pack and unpack")


class ClientRouter(LinkedRouter):
    """The server's world, seen from here. Every method from any thread.

    Args:
        carrier_or_url: where the server is; a carrier of pysig 0.7's form is connected by its `connect(host, port)`.
        codec: `"json"`, or an object with `encode` and `decode`; the same as the server's.
        timeout: seconds to connect.
        send_timeout: seconds that `trigger` waits for room.
        name: for the server's logs and lists.
        executor: runs request handlers and queued listeners; by default eight threads.
        limits: rows of the table of limits, by name.
    """

    def __init__(
        self,
        carrier_or_url: TCPClient | str | None = None,
        *,
        codec: Any = "json",
        timeout: float | None = None,
        send_timeout: float | None = None,
        name: str = "",
        executor: Any = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
        **limits: float,
    ) -> None:
        if send_timeout is not None:
            limits["send_timeout_s"] = send_timeout
        if timeout is not None:
            limits["connect_timeout_s"] = timeout
        super().__init__(
            Limits.of(**limits),
            executor=executor,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )
        self.on_connected: Callable[[], object] | None = None
        """Called when the link has come up."""
        self.on_disconnected: Callable[[], object] | None = None
        """Called when the link has gone and listeners have been given all that came before, on their thread."""
        self._up = self._runtime.flag()  # the link is up, or never will be
        self._name = name
        self._wanted_codec = codec
        self._carrier = (
            carrier_or_url if isinstance(carrier_or_url, TCPClient) else TCPClient(carrier_or_url or default_url())
        )
        self._carrier.router = self

    @property
    def state(self) -> str:
        """`connecting` (not connected yet), `connected`, `away` (the link was lost), or `closed`."""
        driver = self._driver
        if self._closing:
            return "closed"
        if driver is None or not driver.core.opened:
            return "connecting"
        return "away" if driver.core.closed else "connected"

    def open(self) -> None:
        """Connect. Raises `ConnectFailed` (`HandshakeRefused` where the server said why); may be tried again then."""
        self._check_open(self._closing)
        if self._driver is not None:
            raise InvalidArgument("this client is connected already")
        link = self._carrier.open(self.limits, self.limits.connect_timeout_s)
        try:
            self._connect(link, self._carrier.codec(self._wanted_codec), self.limits.handshake_timeout_s, self._name)
        except (Closed, ConnectFailed, InvalidArgument):
            raise
        except SigError as error:
            raise ConnectFailed(f"cannot connect to {self._carrier.address}: {error}") from error
        self._up.set()
        self._tell(self.on_connected, self._carrier.on_connected)

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until the link is up: true, or false after `timeout` seconds or when it has gone for good."""
        self._up.wait(timeout)
        return self.state == "connected"

    def close(self, timeout: float | None = None) -> None:
        super().close(timeout)
        self._up.set()

    def _over(self) -> None:
        if self._driver is not None and self._driver.core.opened:  # else it never was connected
            self._tell(self.on_disconnected, self._carrier.on_disconnected)

    def _tell(self, *callbacks: Callable[[], object] | None) -> None:
        """Call what the user has set, at this router or, as in pysig 0.7, at its carrier."""
        for callback in callbacks:
            if callback is None:
                continue
            try:
                callback()
            except Exception as error:  # the reading thread has a link to close
                logger.error(f"{describe(callback)} failed: {type(error).__name__}: {error}")

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    addRemoteSender: Final = alias(LinkedRouter.add_sender)
    removeRemoteSender: Final = alias(LinkedRouter.remove_sender)
    addRemoteListener: Final = alias(LinkedRouter.add_listener)
    removeRemoteListener: Final = alias(LinkedRouter.remove_listener)

    def remoteRequest(self, sender: Name, method: str, params: object = None) -> Any:
        """As in pysig 0.7: `None` where it fails. `request` raises instead."""
        try:
            return self.request(sender, method, params)
        except SigError:
            return None


def serve(
    *urls: TCPServer | str,
    codec: object = "json",
    insecure_public: bool = False,
    executor: Any = None,
    **limits: Any,
) -> ServerRouter:
    """A running server: `sig.serve("tcp://127.0.0.1:3000")`. Arguments and errors as `ServerRouter` and its `start`."""
    server = ServerRouter(*urls, codec=codec, insecure_public=insecure_public, executor=executor, **limits)
    server.start()
    return server


def connect(url: TCPClient | str | None = None, **options: Any) -> ClientRouter:
    """A connected client: `sig.connect("tcp://127.0.0.1:3000")`; without a URL, `$SIG_URL` or the default port here.

    Options and errors as `ClientRouter` and its `open`.
    """
    client = ClientRouter(url, **options)
    client.open()
    return client
