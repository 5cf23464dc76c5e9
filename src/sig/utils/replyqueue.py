"""`sig.utils.replyqueue` of pysig 0.7, for carriers that were written against it.

The routers themselves keep their calls in `sig.protocol.calls`, which has no threads: here somebody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from itertools import count

__all__ = ["ReplyQueue"]


class ReplyQueue:
    """Replies that threads wait for, by the number of the message. Every method from any thread."""

    def __init__(self) -> None:
        self.send_lock: threading.Lock = threading.Lock()
        """For whoever sends; not used here."""
        self._numbers = count(1)
        self._replies: dict[Hashable, Future[object]] = {}

    def generate_message_id(self) -> int:
        """A number that was never given out before."""
        return next(self._numbers)

    def register_wait_reply(self, message_id: Hashable) -> None:
        """Expect a reply; before the message is sent."""
        self._replies[message_id] = Future()

    def unregister_wait_reply(self, message_id: Hashable) -> None:
        """Expect it no more."""
        self._replies.pop(message_id, None)

    def wait_for_reply(self, message_id: Hashable, timeout: float = 10.0, unregister: bool = False) -> object:
        """The reply; `None` after `timeout` seconds, and for a message that is not registered."""
        reply = self._replies.get(message_id)
        try:
            return None if reply is None else reply.result(timeout)
        except FutureTimeout:
            return None
        finally:
            if unregister:
                self.unregister_wait_reply(message_id)

    def notify_reply(self, message_id: Hashable, reply: object) -> bool:
        """Hand a reply to whoever waits; false if nobody expects it, or it has come already."""
        waiting = self._replies.get(message_id)
        try:
            if waiting is not None:
                waiting.set_result(reply)
        except InvalidStateError:
            return False
        return waiting is not None
