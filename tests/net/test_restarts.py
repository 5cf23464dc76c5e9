"""A server that is restarted again and again: nobody loses anything without being told."""

from __future__ import annotations

import threading

import sig

RESTARTS = 20
NUMBERS = 5
LIMIT_S = 30
# So that nobody waits long: neither who was sent away, nor who finds nobody.
SOON = {"reconnect_first_s": 0.01, "reconnect_longest_s": 0.1}
# Nothing is said for its own sake: what waits for that is noticed.
QUIET = {"retry_after_s": 0.01, "heartbeat_s": 600, "heartbeat_timeout_s": 1500}


class Book:
    """Numbers as they are heard, and where one was told that some are missing."""

    def __init__(self) -> None:
        self.story: list[object] = []
        self._moved = threading.Condition()

    def hear(self, info: sig.Info, data: object) -> None:
        with self._moved:
            self.story.append(data)
            self._moved.notify_all()

    def miss(self, info: sig.Info, gap: sig.Gap) -> None:
        with self._moved:
            self.story.append(gap)

    def reaches(self, number: int, timeout: float) -> bool:
        """Whether this one or a later one is heard within so many seconds."""
        with self._moved:
            return self._moved.wait_for(
                lambda: any(item >= number for item in self.story if type(item) is int), timeout
            )

    def check(self) -> None:
        """Nothing twice, nothing out of order, and where numbers are missing a gap stands."""
        last, gap = -1, False
        for item in self.story:
            if isinstance(item, sig.Gap):
                gap = True
                continue
            assert isinstance(item, int)
            assert item == last + 1 or (gap and item > last), self.story
            last, gap = item, False


def test_nothing_is_lost_untold_over_many_restarts() -> None:
    book = Book()
    server = sig.serve("tcp://127.0.0.1:0", **QUIET)
    (url,) = server.urls
    with sig.connect(url, **SOON) as owner, sig.connect(url, **SOON) as client:
        client.listen(book.hear, "s", "e", on_gap=book.miss)
        sender = owner.add_sender("s", "e")
        number = 0
        for _ in range(RESTARTS):
            for _ in range(NUMBERS):
                sender.trigger("e", number)
                number += 1
            assert book.reaches(number - 1, LIMIT_S), f"{number - 1} was not heard"
            sender.trigger("e", number)  # which may be too late for this server
            server.drain()
            server.close()
            server = sig.serve(url, **QUIET)
            back = number = number + 1
            while not book.reaches(back, 0.05):  # both are back then
                sender.trigger("e", number)
                number += 1
        client.close()
        book.check()
    server.close()
