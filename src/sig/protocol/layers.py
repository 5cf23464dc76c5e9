"""Layers: bytes to bytes, between a link and a peer, for media that carry the peer's bytes in a way of their own.

A layer encrypts them (`tls`), puts them into messages (`websocket`) or guards them against noise (`guard`). It has no
I/O and no clock: whoever drives it gives it what came from the medium, takes what the peer shall have, and brings what
`data_to_send` returns to the medium. Both ends of every carrier drive the same layers.
"""

from __future__ import annotations

from typing import Protocol


class Layer(Protocol):
    """One end of a layer. Times are seconds of a clock that only runs forward."""

    @property
    def held(self) -> int:
        """Bytes that were given to `send` and cannot leave yet, for the layer is not open or the other end is slow.

        Give it no more while there are any.
        """
        ...

    @property
    def closed(self) -> bool:
        """Whether the other end has said, in the layer's own words, that nothing more will come."""
        ...

    @property
    def identity(self) -> str | None:
        """Who the other end has proved to be."""
        ...

    @property
    def expires(self) -> float:
        """Until when that holds, in seconds since 1970; `inf` where it has no end, or nothing is proved."""
        ...

    def receive(self, data: bytes | memoryview, now: float) -> bytes:
        """Take bytes from the medium; returns what the peer is to have of them, which may be nothing.

        Raises `SigError` when the link is of no use any more; what the other end shall be told is in `data_to_send`.
        """
        ...

    def send(self, data: bytes, now: float) -> None:
        """Take bytes from the peer: whole frames of its."""
        ...

    def close(self, now: float) -> None:
        """Tell the other end, behind all that was sent, that nothing more will come. May be called again."""
        ...

    def data_to_send(self) -> bytes:
        """What the medium is to have now; ask after every call of the others."""
        ...

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`."""
        ...

    def handle_timeout(self, now: float) -> None:
        """Time has passed. Raises as `receive`."""
        ...


class Stacked:
    """Two layers as one: `inner` is the peer's, `outer` the medium's."""

    def __init__(self, outer: Layer, inner: Layer) -> None:
        self._outer = outer
        self._inner = inner

    @property
    def held(self) -> int:
        return self._outer.held + self._inner.held

    @property
    def closed(self) -> bool:
        return self._outer.closed or self._inner.closed

    @property
    def identity(self) -> str | None:
        return self._outer.identity or self._inner.identity

    @property
    def expires(self) -> float:
        return min(self._outer.expires, self._inner.expires)

    def receive(self, data: bytes | memoryview, now: float) -> bytes:
        within = self._outer.receive(data, now)
        try:
            return self._inner.receive(within, now)
        finally:
            self._carry(now)

    def send(self, data: bytes, now: float) -> None:
        self._inner.send(data, now)
        self._carry(now)

    def close(self, now: float) -> None:
        self._inner.close(now)
        self._carry(now)
        self._outer.close(now)

    def data_to_send(self) -> bytes:
        return self._outer.data_to_send()

    def next_deadline(self) -> float | None:
        return min(
            (d for d in (self._outer.next_deadline(), self._inner.next_deadline()) if d is not None), default=None
        )

    def handle_timeout(self, now: float) -> None:
        for layer in (self._outer, self._inner):
            deadline = layer.next_deadline()
            if deadline is not None and deadline <= now:
                layer.handle_timeout(now)
        self._carry(now)

    def _carry(self, now: float) -> None:
        if data := self._inner.data_to_send():
            self._outer.send(data, now)
