"""What a server is beside a router, in both faces: it is bound, lets in, drains, and ends behind its clients."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from sig.carriers.base import ServerCarrier
from sig.carriers.schemes import server_carrier
from sig.codecs import as_codecs
from sig.drivers.aio import ServerDriver
from sig.drivers.links import Link
from sig.errors import InvalidArgument
from sig.gate import Gate
from sig.linked import Linked, left
from sig.protocol.server import ServerCore
from sig.sender import Owned
from sig.settings import check_taken, sorted_out
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
        limits, self._carrier_options = sorted_out(settings)
        self._carriers: list[ServerCarrier] = [self._carrier_for(each) for each in carriers_or_urls]
        check_taken(self._carrier_options, self._carriers)
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
        check_taken(options, [carrier])
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
