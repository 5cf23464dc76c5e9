"""A client whose session outlives its links, and what it says and hears when one is lost."""

from __future__ import annotations

import pytest
from protocol.pairs import End, World
from protocol.who import credential, make_access, token

from sig.constants import Limits
from sig.errors import Closed, ConnectionLost, HandshakeRefused, RemoteProtocolError
from sig.messages import AddSender, Bye, Hello, Listen, Welcome, decode_control, encode_control
from sig.protocol import coming
from sig.protocol.answering import RequestDropped
from sig.protocol.bodies import Lost, pack_ack, unpack_ack
from sig.protocol.client import ClientCore, LinkBack, LinkLost
from sig.protocol.frames import PREFACE, Frame, FrameReader, Kind, pack
from sig.protocol.login import TokenProver
from sig.protocol.offline import Offline
from sig.protocol.owning import CLOSED
from sig.protocol.session import ACK_S


def client(world: World) -> End:
    end = world.client(reliable=True)
    end.core.lapsed = lambda: lapsed.append(end)
    end.news.clear()
    return end


lapsed: list[End] = []


@pytest.fixture(autouse=True)
def nothing_lapsed() -> None:
    lapsed.clear()


def lose(world: World, end: End) -> None:
    world.ends.remove(end)
    world.server.disconnected(end.connection, world.now)
    end.core.disconnected(ConnectionLost("the link was lost"))
    end.take()
    world.settle()


def owner(world: World) -> tuple[End, list[int]]:
    """With an outlet, and the routes that it was told."""
    end = client(world)
    end.add("s", "e", requests=["m"])
    routes: list[int] = []
    end.core.owning.outlet("s", "e", routes.append)
    return end, routes


def frames(data: bytes) -> list[Frame]:
    return FrameReader(1 << 24).feed(data.removeprefix(PREFACE))


def test_without_a_link_all_waits_as_if_it_took_nothing() -> None:
    world = World()
    end, routes = owner(world)
    listener = world.client()
    listener.listen(1, "s", "e")
    asked = end.call(Listen(2, "x", "e"))
    lose(world, end)
    core = end.core
    assert (core.parted, core.linked, core.away, core.closed) == (True, True, False, False)
    assert CLOSED not in routes
    core.owning.trigger("s", "e", b"1")
    later = end.call(Listen(3, "x", "e"))
    request, _ = end.request("s", "m", timeout=1000)
    assert core.data_to_send(1000) == b""
    assert core.next_deadline() is not None
    world.come_back(end)
    assert (asked.times, later.times) == (1, 1)
    end.core.answering.reply(end.asked()[0], b"5", None)
    world.settle()
    assert request.ok == b"5"
    assert listener.heard()[-1][1] == 1
    assert not [news for news in end.news if isinstance(news, LinkLost | LinkBack)]
    assert lapsed == []


def test_calls_still_have_their_time() -> None:
    world = World()
    end, _ = owner(world)
    lose(world, end)
    answer = end.call(Listen(2, "x", "e"))
    end.core.handle_timeout(world.now + 31)
    assert isinstance(answer.error, ConnectionLost)
    request, give_up = end.request("s", "m")
    give_up()
    world.come_back(end)
    assert request.times == 0
    assert isinstance(end.news[-1], RequestDropped)


def test_what_still_comes_of_a_link_that_was_given_up_counts_for_nothing() -> None:
    world = World()
    end = client(world)
    before = end.core.resumes.received if end.core.resumes is not None else 0
    end.connection.put(pack(Kind.PRESENCE, b"{}"))
    data = end.connection.data_to_send(1000)
    lose(world, end)
    end.core.receive_at(data, world.now)
    assert end.core.resumes is not None
    assert (end.core.resumes.received, end.core.closed) == (before, False)


def test_an_attempt_that_fails_changes_nothing_however_it_fails() -> None:
    world = World()
    end, _ = owner(world)
    lose(world, end)
    end.core.owning.trigger("s", "e", b"1")
    bye = pack(Kind.BYE, encode_control(Bye("overloaded", "come back later", 5)))
    for said in (b"", PREFACE, PREFACE + bye, b"HTTP/1.1 400 Bad Request\r\n", PREFACE + pack(Kind.WELCOME, b"{}")):
        end.core.renew(0)
        assert end.core.linked
        end.core.data_to_send(1000)
        end.core.receive_at(said, world.now)
        end.core.owning.trigger("s", "e", b"2")
        end.core.disconnected(ConnectionLost("the link was lost"))
        assert (end.core.parted, end.core.closed) == (True, False)
    world.come_back(end)
    assert end.core.resumed
    assert end.connection.events_in == 6


def test_who_is_sent_away_does_not_come_back() -> None:
    world = World()
    end, routes = owner(world)
    lose(world, end)
    answer, _ = end.request("s", "m")
    end.core.renew(0)
    end.core.receive_at(PREFACE + pack(Kind.BYE, encode_control(Bye("denied", "you are nobody"))), world.now)
    end.core.disconnected(ConnectionLost("the link was lost"))
    assert (end.core.parted, end.core.closed, end.core.away) == (False, True, False)
    assert routes[-1] == CLOSED
    assert isinstance(answer.error, ConnectionLost)


def test_a_server_that_says_goodbye_has_ended_the_session() -> None:
    world = World()
    end, _ = owner(world)
    world.server.close()
    world.settle()
    assert (end.core.parted, end.core.away) == (False, True)
    assert end.core.resumes is None


def test_who_closes_while_away_has_left() -> None:
    world = World()
    end, routes = owner(world)
    lose(world, end)
    answer = end.call(Listen(2))
    end.core.leave()
    assert end.core.data_to_send(1000) == b""
    end.core.disconnected(Closed("closed"))
    assert isinstance(answer.error, Closed)
    assert (end.core.parted, routes[-1]) == (False, CLOSED)


def test_who_is_about_to_close_waits_for_no_other_link() -> None:
    world = World()
    end, _ = owner(world)
    end.core.finishing = True
    answer = end.call(Listen(2))
    lose(world, end)
    assert isinstance(answer.error, ConnectionLost)
    assert (end.core.parted, end.core.up) == (False, False)


def test_where_it_has_ended_nothing_is_accepted_any_more() -> None:
    """As in the child of a fork."""
    world = World()
    end, _ = owner(world)
    lose(world, end)
    end.core.closed = True
    coming.end(end.core)
    with pytest.raises(ConnectionLost):
        end.core.owning.trigger("s", "e", b"1")


def test_a_mistake_of_the_servers_ends_the_session() -> None:
    world = World()
    end, _ = owner(world)
    end.core.receive_at(pack_ack(2**40), world.now)
    assert end.core.closed
    world.lose(end)
    assert (end.core.parted, end.core.away) == (False, True)


def test_a_session_that_was_not_kept_is_lost_as_a_link_is_that_is_not_reliable() -> None:
    world = World()
    end, routes = owner(world)
    listener = world.client(offline=Offline("buffer", 1000, 30))
    listener.listen(1, "s", "e")
    for value in (b"1", b"2"):
        end.core.owning.trigger("s", "e", value)
        world.settle()
    lose(world, end)
    end.core.owning.trigger("s", "e", b"3")
    end.core.data_to_send(1000)
    calls = [end.call(Listen(2)), end.request("s", "m")[0]]
    world.server.sessions.shed()
    world.server.settle()
    world.come_back(end)
    assert lapsed == [end]
    assert (end.core.away, end.core.resumed, end.core.links) == (True, False, 2)
    assert [news for news in end.news if isinstance(news, LinkLost | LinkBack)] == [LinkLost(), LinkBack(True, False)]
    assert [str(call.error).partition(";")[0] for call in calls] == ["the server has not kept the session (memory)"] * 2
    assert routes[-1] == CLOSED
    assert end.core.resumes is not None
    assert (end.core.resumes.sent, end.core.parted) == (0, False)
    losses = end.core.owning.losses(world.now)
    end.ask(AddSender("s", ["e"], ["m"], lost=losses["s"]))
    end.core.restored(world.now)
    world.settle()
    assert losses == {"s": {"e": None}}
    assert [news.missed for news in listener.news if isinstance(news, Lost)] == [
        None
    ]  # 1 and 2 had come, for all we know
    assert [value for _, value in listener.heard()] == [1, 2, 3]


def test_where_all_had_arrived_nothing_was_lost_on_the_way() -> None:
    world = World()
    end, _ = owner(world)
    listener = world.client()
    listener.listen(1, "s", "e")
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.advance(ACK_S)
    lose(world, end)
    end.core.owning.trigger("s", "e", b"2")
    world.server.sessions.shed()
    world.server.settle()
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {}


def test_a_link_that_is_lost_before_all_is_registered_again_is_lost() -> None:
    world = World()
    end, _ = owner(world)
    lose(world, end)
    world.server.sessions.shed()
    world.server.settle()
    world.come_back(end)
    lose(world, end)
    assert (end.core.parted, end.core.away) == (False, True)
    world.come_back(end)
    assert not end.core.resumed
    end.ask(AddSender("s", ["e"], ["m"]))
    end.core.restored(world.now)
    world.settle()
    lose(world, end)
    assert end.core.parted
    world.come_back(end)
    assert end.core.resumed


def test_a_server_that_counts_wrong_is_told_and_the_next_link_begins_anew() -> None:
    world = World()
    end, _ = owner(world)
    lose(world, end)
    welcome = end.core.welcome
    assert welcome is not None
    end.core.renew(0)
    wrong = encode_control(
        Welcome(1, ["json"], "n", welcome.epoch, 1, "token", 1 << 20, 1 << 20, 0.0, features=["reliable"], received=99)
    )
    end.core.receive_at(PREFACE + pack(Kind.WELCOME, wrong), world.now)
    assert isinstance(end.core.error, HandshakeRefused | RemoteProtocolError)
    end.core.disconnected(ConnectionLost("the link was lost"))
    assert (end.core.parted, end.core.away, lapsed) == (False, True, [end])
    world.come_back(end)
    assert end.core.welcome is not None
    assert end.core.welcome.fresh == "not_kept"


def test_a_server_that_cannot_do_it_is_refused() -> None:
    core = ClientCore(Limits(), World().server.codecs, offline=Offline("buffer", 1, 1), reliable=True)
    plain = encode_control(Welcome(1, ["json"], "n", 1, 1, "token", 1 << 20, 1 << 20, 0.0))
    core.receive_at(PREFACE + pack(Kind.WELCOME, plain), 0.0)
    assert "does not keep what a link with reliable=True needs" in str(core.error)


def test_a_new_token_is_shown_to_have_come() -> None:
    world = World()
    end, _ = owner(world)
    for _ in range(3):
        before = end.core.welcome
        lose(world, end)
        end.core.renew(0)
        hello = decode_control(Hello, frames(end.core.data_to_send(1000))[0].body)
        assert before is not None
        assert end.core.resumes is not None
        assert (hello.session, hello.received) == (before.session, end.core.resumes.received)
        end.core.disconnected(ConnectionLost("the link was lost"))
        world.come_back(end)
        assert world.server.sessions.find(before.session) is None
        assert end.core.welcome is not None
        assert end.core.welcome.session != before.session


def test_what_has_come_is_acknowledged_in_time() -> None:
    world = World()
    end, _ = owner(world)
    assert end.core.next_deadline() == world.now + ACK_S
    end.core.handle_timeout(world.now + ACK_S)
    (frame,) = frames(end.core.data_to_send(1000))
    assert frame.kind == Kind.ACK
    assert end.core.resumes is not None
    assert unpack_ack(frame) == end.core.resumes.received > 0


def test_who_has_to_log_in_logs_in_on_each_link() -> None:
    access, _ = make_access(credential(7, "alice"))
    world = World(access=access)
    end = world.client(prover=TokenProver(token(7)), reliable=True)
    assert end.core.opened
    end.add("s", "e")
    for _ in range(2):
        lose(world, end)
        world.come_back(end)
        assert end.core.resumed
    assert end.flush() is None
