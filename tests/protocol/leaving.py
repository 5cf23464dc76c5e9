"""Senders that leave while others are away, and what those are told when they are back."""

from __future__ import annotations

from msgspec.structs import replace
from protocol.pairs import End, World

from sig.errors import ConnectionLost
from sig.messages import Listen
from sig.protocol.client import RouteClosed, RouteOpened
from sig.protocol.offline import Offline

LISTEN = Listen(1, "s", "e")
BLOCKING = Listen(1, "s", "e", max_wait_s=20, window=1)


def away() -> Offline:
    return Offline("buffer", 1000, 30)


def send(source: End, *events: str) -> None:
    for event in events:
        source.core.owning.trigger("s", event, b"1")
    source.world.settle()


def lose_unnoticed(world: World, end: End) -> None:
    """The link is down, and the server does not know it."""
    world.ends.remove(end)
    end.core.disconnected(ConnectionLost("the link was lost"))
    end.take()


def come_back(world: World, end: End, listen: Listen = LISTEN) -> None:
    end.news.clear()
    world.come_back(end)
    end.ask(replace(listen, again=True))


def told(end: End) -> list[tuple[int, int, int | None]]:
    """What the routes that it was told of say: the next event, the first it was to hear, and whose lane it is."""
    found = [news.route for news in end.news if isinstance(news, RouteOpened)]
    return [(route.next_seq, route.first_seq, route.listener) for route in found]


def closed(end: End) -> int:
    return sum(isinstance(news, RouteClosed) for news in end.news)
