"""Routers with links, in the blocking face: `serve` and `connect`."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Coroutine, Mapping
from functools import partial
from os import PathLike
from typing import Any, Final, TypeVar

from sig.alias import alias
from sig.answers import Answers, ThreadAnswers
from sig.arrivals import Arrivals
from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.codecs import Codec
from sig.connecting import Connecting, Where
from sig.drivers.aio import ServerDriver
from sig.drivers.client import ClientDriver
from sig.drivers.inside import InsideLink
from sig.drivers.links import Link
from sig.drivers.loops import LoopThread
from sig.drivers.threads import ThreadsDriver, interrupt_main
from sig.errors import SigError
from sig.hub import Name
from sig.info import ClientInfo
from sig.linked import Linked, left
from sig.log import logger
from sig.protocol.client import ClientCore
from sig.protocol.server import ServerCore
from sig.router import Router
from sig.security.policy import Policy
from sig.sender import Event, Sender
from sig.serving import Serving
from sig.signal import Signal
from sig.steps import Steps, walk

T = TypeVar("T")


class LinkedRouter(Linked, Router):
    """What `ServerRouter` and `ClientRouter` have in common: listeners on a dispatch thread, handlers in a pool."""

    def clients(self) -> list[ClientInfo]:
        """Who is connected to the server. Raises `Denied` without the right to `admin`."""
        return walk(self._clients())

    def kick(self, who: int | str, reason: str = "") -> int:
        """End the link of the client of that number, or all links of that identity; returns how many these were.

        They are told the reason. They may come back, unless what they log in with is taken away too. Raises `Denied`
        without the right to `admin`.
        """
        return walk(self._kick(who, reason))

    def _make_driver(self, core: ClientCore, arrivals: Arrivals, answers: Answers) -> ThreadsDriver:
        return ThreadsDriver(
            core,
            self.limits,
            handle=arrivals.handle,
            asked=answers.asked,
            ended=self._ended,
            over=self._over,
            fatal=self._fatal,
        )

    def _make_answers(self) -> ThreadAnswers:
        return ThreadAnswers(self, self._post, self._fatal)

    def _prepare(self, codecs: Mapping[str, Codec], name: str) -> ClientDriver:
        driver = super()._prepare(codecs, name)
        _open_routers.add(self)
        return driver

    def _leave(self, held: list[Any], deadline: float) -> Steps[None]:
        _open_routers.discard(self)
        yield from super()._leave(held, deadline)

    def _over(self) -> None:
        """The listeners have been given all that came before the link went down. On the dispatch thread."""

    def _fatal(self, error: BaseException) -> None:
        """A listener or handler raised KeyboardInterrupt or SystemExit: that is meant for the program."""
        logger.warning(f"{type(error).__name__} was raised on a thread of this {type(self).__name__}: it is closing")
        threading.Thread(target=self.close, name="sig-close", daemon=True).start()
        interrupt_main()

    def _at_exit(self, deadline: float) -> None:
        """The program ends without having closed this."""
        driver = self._driver
        if driver is None or (driver.core.closed and not driver.core.away) or not self._unflushed:
            return
        try:
            self.flush(max(0.01, left(deadline)))
        except SigError as error:
            logger.warning(f"the program ends without having closed its {type(self).__name__}: {error}")


_EXIT_FLUSH_S: Final = 1.0

_open_routers: Final[weakref.WeakSet[LinkedRouter]] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """A script that forgot `with` loses nothing, if a second is enough."""
    deadline = time.monotonic() + _EXIT_FLUSH_S
    for router in list(_open_routers):
        router._at_exit(deadline)


class ServerRouter(Serving, LinkedRouter):
    """A router for this process and every client that connects. Runs its own thread; every method from any thread.

    Args:
        carriers_or_urls: `tcp://host:port` (port 0 takes a free one), or carriers.
        codec: `"json"`, `"msgpack"`, an object with `encode` and `decode`, or a list of these, the preferred one first.
            Every client must have one of them, and need not have the same: what it lacks is put into its own.
            Carriers that override `pack` and `unpack` bring these along instead.
        auth: who may come: the path of a file of credentials (`sig token` makes one), a function that looks at what the
            client gives (see `sig.security.Login`), `sig.security.Anonymous()`, or a list of these. Without it
            everybody is let in.
        acl: who may do what: a `sig.security.Policy`, or the path of one. Without it everybody may do everything.
        insecure_public: allow addresses that other machines can reach, although everybody may do everything.
        executor: runs request handlers and queued listeners; by default eight threads.
        limits: rows of the table of limits, by name: `max_frame_bytes=...`.
    """

    def __init__(
        self,
        *carriers_or_urls: ServerCarrier | str,
        codec: object = "json",
        auth: object = None,
        acl: object = None,
        insecure_public: bool = False,
        executor: Any = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
        **limits: Any,
    ) -> None:
        super().__init__(
            carriers_or_urls,
            codec,
            insecure_public,
            limits,
            auth=auth,
            acl=acl,
            executor=executor,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )
        self._loop: LoopThread | None = None

    def start(self) -> None:
        """Begin to serve. What has been registered before is there when the first client comes.

        Raises `ConnectFailed` when a port cannot be had, and `InvalidArgument` for a public address or what is no
        codec. Nothing has been begun then.
        """
        walk(self._starting())

    def add_carrier(self, carrier_or_url: ServerCarrier | str, **options: Any) -> str:
        """Serve on one more address; returns it as bound. Options as `sig.serve`'s for it. Raises as `start`."""
        return walk(self._adding_carrier(carrier_or_url, options))

    def remove_carrier(self, carrier_or_url: ServerCarrier | str) -> bool:
        """Accept nobody there any more; clients that are connected stay. False if there is no such carrier."""
        return walk(self._removing_carrier(carrier_or_url))

    def reload(self) -> None:
        """Read certificates anew, for clients that come from now on. Those that are connected stay.

        Raises `InvalidArgument` for files that cannot be read or do not fit: then the certificates before go on.
        """
        walk(self._reloading())

    def set_acl(self, acl: Policy | str | PathLike[str] | None) -> None:
        """Let another policy hold from here on, also for those who are connected: what they may not any more ends.

        Raises `InvalidArgument` for one that cannot be read, or is wrong: then the one before still holds.
        """
        walk(self._governing(acl))

    def drain(self, timeout: float | None = None) -> bool:
        """Let nobody in any more, and wait until the requests under way have been answered; then `close` this.

        What is asked meanwhile is refused with `Overloaded`, but for what handlers ask to find their answers. False if
        that takes longer than `timeout` seconds (the limit `drain_timeout_s`, 10 by default).
        """
        return walk(self._draining(timeout))

    def _make_server(self, core: ServerCore) -> tuple[ServerDriver, Link]:
        self._loop = LoopThread("sig-server")
        server = ServerDriver(core, self.limits, self._loop.loop)
        return server, InsideLink(server, self._loop.loop.call_soon_threadsafe)

    def _on_loop(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        assert self._loop is not None  # there is a server
        return self._loop.run(coroutine, timeout)

    def _stop_loop(self, timeout: float) -> None:
        loop = self._loop
        assert loop is not None
        if self._server is not None:
            loop.loop.call_soon_threadsafe(partial(self._server.stop, loop_ends=True))
        loop.stop(timeout)

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    stop: Final = alias(LinkedRouter.close)


class ClientRouter(Connecting, LinkedRouter):
    """The server's world, seen from here. Every method from any thread.

    Args:
        carrier_or_url: where the server is, or a list of such places: they are tried in turn. A carrier of pysig 0.7's
            form is connected by its `connect(host, port)`.
        codec: `"json"`, `"msgpack"`, an object with `encode` and `decode`, or a list of these, the preferred one first.
            One of them must be the server's. Who has one of the first two has both.
        reconnect: whether a link that is lost is tried again, for ever, until the router is closed; by default with
            every carrier that can. Listeners and senders are registered again, and listeners told what they missed.
        offline: what `trigger` does meanwhile: `"buffer"` keeps events for the new link, as many as `offline_bytes` and
            `offline_s` allow and then raises `ConnectionLost`; `"drop"` drops and counts them; `"raise"` raises.
        reliable: whether a link that is lost loses nothing, and nothing comes twice, if it is back within the server's
            `session_s`. Needs a link that comes back. If it is back too late, listeners are told what they missed.
        timeout: seconds to open the link, and as many for the handshake on it; 10 by default.
        send_timeout: seconds that `trigger` waits for room.
        auth: who this is: a token, `sig.security.Password(...)` or `sig.security.Bearer(...)`; by default what is in
            the environment as `SIG_TOKEN`, if anything.
        name: for the server's logs and lists.
        executor: runs request handlers and queued listeners; by default eight threads.
        limits: rows of the table of limits, by name.
    """

    def __init__(
        self,
        carrier_or_url: Where | None = None,
        *,
        codec: Any = "json",
        reconnect: bool | None = None,
        offline: str = "buffer",
        reliable: bool = False,
        timeout: float | None = None,
        send_timeout: float | None = None,
        name: str = "",
        auth: object = None,
        executor: Any = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
        **limits: Any,
    ) -> None:
        super().__init__(
            carrier_or_url,
            codec,
            name,
            timeout,
            send_timeout,
            limits,
            auth=auth,
            reconnect=reconnect,
            offline=offline,
            reliable=reliable,
            executor=executor,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )
        self._reconnecting: threading.Thread | None = None

    def open(self, *, wait: bool = True) -> None:
        """Connect. Raises `ConnectFailed` (`HandshakeRefused` where the server said why); may be tried again then.

        With `wait=False` returns at once, and the link comes when it can: it is tried until then as one that was lost,
        and all that is registered meanwhile is registered on it. Where it can never come, as with a token that is not
        known, `on_error` is called with why, and `wait` raises it. Raises `InvalidArgument` for a link that is not
        tried again.
        """
        walk(self._opening(wait))

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until the link is up: true, or false after `timeout` seconds or when it has gone for good."""
        return walk(self._waiting_connected(timeout))

    def _open_link(self, carrier: ClientCarrier) -> Link:
        return carrier.link(self.limits, self.limits.connect_timeout_s)

    def _aside(self, steps: Steps[None]) -> None:
        self._reconnecting = threading.Thread(target=walk, args=(steps,), name="sig-reconnect", daemon=True)
        self._reconnecting.start()

    def _end_aside(self, timeout: float) -> None:
        thread = self._reconnecting
        if thread is not None and thread is not threading.current_thread():
            if self._driver is not None:
                self._driver.give_up_opening()
            thread.join(timeout)

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
    *urls: ServerCarrier | str,
    codec: object = "json",
    auth: object = None,
    acl: object = None,
    insecure_public: bool = False,
    executor: Any = None,
    **limits: Any,
) -> ServerRouter:
    """A running server: `sig.serve("tcp://127.0.0.1:3000")`. Arguments and errors as `ServerRouter` and its `start`."""
    server = ServerRouter(
        *urls, codec=codec, auth=auth, acl=acl, insecure_public=insecure_public, executor=executor, **limits
    )
    server.start()
    return server


def connect(url: Where | None = None, *, wait: bool = True, **options: Any) -> ClientRouter:
    """A connected client: `sig.connect("tcp://127.0.0.1:3000")`; without a URL, `$SIG_URL` or the default port here.

    With `wait=False` it is connected as soon as it can be. Options and errors as `ClientRouter` and its `open`.
    """
    client = ClientRouter(url, **options)
    client.open(wait=wait)
    return client
