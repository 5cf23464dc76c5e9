"""First the past, then what comes: how a listener with `initial=True` begins."""

from __future__ import annotations

from threading import RLock

from .consumer import REFUSED
from .info import Info
from .subscription import Callback, Subscription


class PastFirst:
    """Stands before such a listener: holds back what comes until the past has been told."""

    __slots__ = ("_held", "_listener", "_lock", "call")

    def __init__(self, listener: Subscription) -> None:
        self._listener = listener
        self.call: Callback = listener.call
        self._lock = RLock()  # guards _held
        self._held: list[tuple[Info, object]] | None = []

    def __call__(self, info: Info, data: object) -> object:
        with self._lock:
            if self._held is not None:
                self._held.append((info, data))
                return None
        return self._listener._router._complaints.guarded(self.call, info, data, self._listener)

    def open(self, past: list[tuple[Info, object]]) -> None:
        """Tell the past, then what came meanwhile, then let everything through."""
        told = past
        while True:
            for info, data in told:
                self._tell(info, data)
            with self._lock:
                if not self._held:
                    self._held = None
                    return
                told, self._held = self._held, []

    def _tell(self, info: Info, data: object) -> None:
        listener = self._listener
        router = listener._router
        refused = listener.closed or router._complaints.guarded(self.call, info, data, listener) is REFUSED
        if refused and not info.initial:
            router._give_back(listener, info, data)
