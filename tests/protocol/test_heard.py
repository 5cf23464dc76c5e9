"""What a server knows of those who listen."""

from __future__ import annotations

from protocol.pairs import World

from sig.codecs import JSON, MSGPACK
from sig.constants import Limits
from sig.protocol.heard import Audience, LinkSubscription, Waiting


def test_an_audience_takes_what_each_of_it_takes() -> None:
    world = World()
    connections = (world.client().connection, world.client(limits=Limits.of(max_frame_bytes=400)).connection)
    assert Audience(connections, JSON).largest == 412
    assert Audience((), JSON).connections == ()


def test_of_an_audience_those_who_lack_the_codec_are_apart_by_the_codec_that_they_need() -> None:
    world = World()
    both = world.raw(["msgpack", "json"]).connection
    packed = [world.raw(["msgpack"]).connection for _ in range(2)]
    audience = Audience((packed[0], both, packed[1]), JSON)
    assert audience.connections == (packed[0], both, packed[1])
    assert audience.direct == (both,)
    assert audience.bridged == {MSGPACK: (packed[0], packed[1])}
    assert Audience((packed[0],), JSON).largest > 1 << 24  # no frame is too large for nobody


def test_those_who_are_late_find_in_one_backlog_what_they_were_not_given() -> None:
    world = World()
    connections = tuple(world.client().connection for _ in range(3))
    first, second, prompt = connections
    audience = Audience(connections, JSON)
    for late in (first, second):
        audience.part([late], world.server.backlogs)
    assert audience.backlog is not None
    assert [audience.backlog in connection.behind for connection in connections] == [True, True, False]
    assert list(audience.prompt) == [prompt]


def test_who_waits_to_be_heard_of_waits_for_each_route() -> None:
    world = World()
    world.client().add("s", "e")
    (route,) = (route for route in world.server.routes.values() if route.event)
    subscription = LinkSubscription(world.client().connection, "s", None, 1, initial=True)
    assert subscription.hears(route)
    assert not LinkSubscription(subscription.connection, "s", "f", 1).hears(route)
    waiting = Waiting(subscription, 5, 7, 2.5)
    assert (waiting.connection, waiting.call, waiting.routes) == (subscription.connection, 7, {})
    assert (subscription.line, subscription.member) == (None, None)
