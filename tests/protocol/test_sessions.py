"""Clients whose sessions outlive their links, at a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, End, Raw, World
from protocol.who import credential, logins, make_access, token

from sig.errors import ConnectionLost, Denied, Overloaded, RemoteProtocolError, SenderNotConnected
from sig.messages import RELIABLE, RETURNS, AddSender, Hello, Listen, Presence, Welcome, decode_control, encode_control
from sig.protocol.access import Access
from sig.protocol.answering import RequestArrived
from sig.protocol.bodies import Lost, pack_ack, unpack_ack
from sig.protocol.connection import Connection
from sig.protocol.frames import Frame, Kind, pack
from sig.protocol.login import Bearer, TokenProver
from sig.protocol.session import ACK_S, COUNTS, MEMORY, NOT_KEPT, UNKNOWN
from sig.protocol.sessions import Sessions
from sig.security.identity import Identity
from sig.security.policy import Policy, allow

SESSION_S = 120


def client(world: World, **options: Any) -> End:
    end = world.client(reliable=True, **options)
    end.news.clear()
    return end


def lose(world: World, end: End, *, unnoticed: bool = False) -> None:
    """The link goes; with `unnoticed` at the client only."""
    world.ends.remove(end)
    if not unnoticed:
        world.server.disconnected(end.connection, world.now)
    end.core.disconnected(ConnectionLost("the link was lost"))
    world.settle()


def presence(end: End) -> list[str]:
    return [news.event for news in end.news if isinstance(news, Presence)]


def values(end: End) -> list[object]:
    return [value for _, value in end.heard()]


def test_who_is_back_was_never_away() -> None:
    world = World()
    witness, owner, listener = world.client(), client(world), client(world)
    witness.listen(1, None, "#disconnect")
    owner.add("s", "e", requests=["m"])
    listener.listen(1, "s", "e")
    number, connection = listener.connection.number, listener.connection
    for value in range(10):
        lose(world, owner)
        owner.core.owning.trigger("s", "e", b"%d" % value)
        lose(world, listener)
        world.come_back(owner)
        assert len(world.server.sessions) == 1
        world.come_back(listener)
        assert (owner.core.resumed, listener.core.resumed) == (True, True)
    assert values(listener) == list(range(10))
    assert presence(witness) == []
    assert listener.connection is connection
    assert listener.core.welcome is not None
    assert listener.core.welcome.client == number
    assert len(world.server.connections) == 3


def test_a_link_that_is_not_known_to_be_down_ends_first() -> None:
    world = World()
    gone: list[Connection] = []
    end = client(world)
    end.add("s", "e")
    kept, before = world.server.sessions.moved, end.connection

    def moved(link: Connection, to: Connection | None) -> None:
        if to is None:
            gone.append(link)
        kept(link, to)

    world.server.sessions.moved = moved
    lose(world, end, unnoticed=True)
    assert len(world.server.sessions) == 0
    world.come_back(end)
    assert end.core.resumed
    assert gone == [before]
    assert end.flush() is None


def test_a_silent_link_is_lost_and_not_its_client() -> None:
    world = World(heartbeat_timeout_s=1)
    end = client(world)
    world.ends.clear()
    for _ in range(10):
        world.advance(0.5)
    assert (len(world.server.sessions), world.server.vanished) == (1, 1)
    assert not end.connection.closed
    end.connection.cut(ConnectionLost("once more"))
    assert len(world.server.sessions) == 1
    end.core.disconnected(ConnectionLost("the link was lost"))
    world.come_back(end)
    assert end.core.resumed


def test_who_is_away_for_too_long_has_left() -> None:
    world = World()
    witness, end = world.client(), client(world)
    witness.listen(1, None, "#disconnect")
    end.add("s", "e")
    lose(world, end)
    assert world.server.sessions.due == world.now + SESSION_S
    world.advance(SESSION_S - 1)
    assert presence(witness) == []
    world.advance(1)
    assert presence(witness) == ["#disconnect"]
    assert len(world.server.connections) == 1
    world.come_back(end)
    assert end.core.welcome is not None
    assert (end.core.resumed, end.core.welcome.fresh) == (False, UNKNOWN)


def test_who_comes_later_goes_later() -> None:
    world = World()
    first, second = client(world), client(world)
    lose(world, first)
    world.advance(10)
    lose(world, second)
    world.advance(SESSION_S - 10)
    assert len(world.server.sessions) == 1
    world.come_back(second)
    assert second.core.resumed


def fill(world: World, owner: End, *held: Connection) -> None:
    """More than the budget of 100,000 bytes, for those whose links take nothing."""
    for _ in range(12):
        owner.core.owning.trigger("s", "e", b'"' + b"x" * 9000 + b'"')
        world.settle()
        for connection in held:
            if not connection.closed:
                world.server.held_up(connection, 0)


def test_where_memory_is_short_the_one_that_has_been_away_the_longest_is_given_up_and_told() -> None:
    world = World(memory_bytes=100_000)
    first, second, owner = client(world), client(world), world.client()
    owner.add("s", "e")
    first.listen(1, "s", "e")
    lose(world, first)
    lose(world, second)
    fill(world, owner, first.connection)
    world.come_back(first)
    assert first.core.welcome is not None
    assert first.core.welcome.fresh == MEMORY
    world.come_back(second)
    assert second.core.resumed
    assert world.server.budget.used == 0


def test_what_is_kept_for_who_is_away_goes_before_anybody_loses_an_event() -> None:
    world = World(memory_bytes=200_000)
    away, slow, owner = client(world), world.client(), world.client()
    owner.add("s", "e", "f")
    away.listen(1, "s", "f")
    slow.listen(1, "s", "e")
    owner.core.owning.trigger("s", "f", b'"' + b"x" * 150_000 + b'"')
    world.carry_up(owner)
    world.ends.remove(slow)
    world.carry_down(away)  # all of it has left, and is kept
    world.ends.remove(away)
    world.server.disconnected(away.connection, world.now)
    assert world.server.budget.used > 150_000
    fill(world, owner, slow.connection)
    assert len(world.server.sessions) == 0
    world.ends.append(slow)
    world.settle()
    assert slow.connection.missed == 0


def test_many_keep_less_each() -> None:
    world = World(memory_bytes=1 << 22, resend_bytes=1 << 19, max_accepts_per_s=1000)
    ends = [client(world) for _ in range(30)]
    windows = [end.connection.resumes.window for end in ends if end.connection.resumes is not None]
    assert windows[:3] == [1 << 19, 1 << 19, (1 << 20) // 3]
    assert windows == sorted(windows, reverse=True)
    assert windows[-1] == 64 * 1024
    for end in ends:
        end.core.leave()
    world.settle()
    last = client(world).connection.resumes
    assert last is not None
    assert last.window == 1 << 19


def test_nobody_is_given_up_where_nobody_is_away() -> None:
    world = World()
    client(world)
    assert not world.server.sessions.shed()


def test_those_who_were_given_up_are_not_remembered_for_ever() -> None:
    world = World()
    ends = [client(world) for _ in range(3)]
    world.server.sessions._given_up.update(dict.fromkeys((bytes([n % 256, n // 256]) for n in range(1023)), None))
    for end in ends:
        lose(world, end)
        world.server.sessions.shed()
        world.server.settle()
    assert len(world.server.sessions._given_up) == 1024


def test_no_more_are_away_than_may_be_there() -> None:
    world = World(max_connections=2)
    for _ in range(4):
        lose(world, client(world))
    assert len(world.server.sessions) == 2
    assert len(world.server.connections) == 2


def test_another_who_claims_the_name_of_one_who_is_away_has_it() -> None:
    world = World()
    end, other, witness = client(world), world.client(), world.client()
    witness.listen(1, None, "#disconnect")
    witness.listen(2, None, "#connect")
    end.add("s", "e")
    lose(world, end)
    other.add("s", "e")
    assert presence(witness) == ["#connect", "#disconnect", "#connect"]
    world.come_back(end)
    assert not end.core.resumed


def test_another_identity_has_no_part_in_it_and_that_is_noted() -> None:
    noted: list[tuple[str, dict[str, object]]] = []
    access = Access(lambda: bytes(32))
    access.audit = lambda what, more: noted.append((what, more))  # type: ignore[assignment]
    world = World(access=access)
    end = client(world, known_as="unix:1")
    lose(world, end)
    end.core.renew(0)
    end.connection = world.accept("again")
    end.connection.known_as = "unix:2"
    world.ends.append(end)
    world.settle()
    assert end.core.welcome is not None
    assert (end.core.resumed, end.core.welcome.fresh) == (False, UNKNOWN)
    (refused,) = [more for what, more in noted if what == "refused"]
    assert refused == {"address": "again", "login": "unix:2", "reason": "the session is another's"}
    assert len(world.server.sessions) == 1


def test_who_it_is_and_where_is_what_the_new_link_says() -> None:
    world = World()
    end = client(world, known_as="unix:1")
    lose(world, end)
    end.core.renew(0)
    end.connection = world.accept("elsewhere")
    end.connection.known_as = "unix:1"
    end.connection.rhythm = None
    world.ends.append(end)
    world.settle()
    assert end.core.resumed
    assert (end.connection.address, end.connection.rhythm) == ("elsewhere", None)
    assert end.connection.identity == Identity("unix:1", source="carrier")


def test_who_is_back_with_fewer_rights_loses_what_came_of_the_others() -> None:
    rules = [allow("group:staff", ["own", "listen", "request"]), allow("uid:1", ["own", "trigger"], "s")]
    policy = Policy(rules, {"staff": []})
    asked: list[Connection] = []
    world = World(access=Access(lambda: bytes(32), policy=policy, own=lambda link, login: asked.append(link)))
    owner = world.client(prover=Bearer("owner"))
    world.server.logged_in(asked.pop(), Identity("uid:1"), world.now)
    end = client(world, prover=Bearer("staff"))
    world.server.logged_in(asked.pop(), Identity("alice", ("staff",)), world.now)
    world.settle()
    owner.add("s", "e", requests=["m"])
    end.add("t", "e")
    end.listen(1, "s", "e")
    answer, _ = end.request("s", "m")
    world.settle()
    lose(world, end)
    world.come_back(end)
    world.server.logged_in(asked.pop(), Identity("alice"), world.now)
    world.settle()
    assert end.core.resumed
    owner.core.owning.trigger("s", "e", b"1")
    world.settle()
    assert values(end) == []
    assert isinstance(answer.error, Denied)
    assert list(world.server.registry._senders) == ["s"]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_what_holds_no_more_ends_the_session_of_who_is_away(how: str) -> None:
    until = World().now + 1_700_000_005.0
    access, _ = make_access(credential(7, "alice", expires=until), credential(8, "bob"))
    world = World(access=access)
    end, witness = client(world, prover=TokenProver(token(7))), world.client(prover=TokenProver(token(8)))
    witness.listen(1, "s", "#disconnect")
    end.add("s", "e")
    lose(world, end)
    assert presence(witness) == []
    if how == "revoked":
        world.server.govern(None, logins(credential(8, "bob")), world.now)
        world.settle()
    else:
        world.advance(5)
    assert presence(witness) == ["#disconnect"]
    world.come_back(end)
    assert isinstance(end.core.error, Denied)
    assert not end.connection.opened


def test_what_expires_parts_the_link_and_the_session_waits_for_its_own() -> None:
    world = World()
    wall = world.now + 1_700_000_000.0
    end = world.client(reliable=True, known_as="cert:lab", settle=False)
    end.connection.known_until = wall + 10
    witness = world.client()
    witness.add("s", "e")
    end.listen(1)
    world.advance(10)
    assert end.connection.parted
    witness.core.owning.trigger("s", "e", b"1")
    lose(world, end, unnoticed=end in world.ends)
    world.come_back(end)  # with a certificate that holds for longer
    assert end.core.resumed
    assert values(end) == [1]
    assert end.connection.identity == Identity("cert:lab", source="carrier")


class ByHand(Raw):
    """A client that is played by the test."""

    def __init__(self, world: World, session: str | None = None, received: int | None = None) -> None:
        features = [RETURNS, RELIABLE]
        super().__init__(world, hello=Hello([1], ["json"], session=session, received=received, features=features))
        moved = world.server.sessions.moved

        def follow(link: Connection, to: Connection | None) -> None:
            if link is self.connection and to is not None:
                self.connection = to
            moved(link, to)

        if self.connection.closed:
            self.connection = next(reversed(world.server.dirty))
        world.server.sessions.moved = follow
        self.first: Frame = self.read()[0]

    @property
    def welcome(self) -> Welcome:
        return decode_control(Welcome, self.first.body)


def test_tokens_are_long_and_another_each_time() -> None:
    world = World()
    first = ByHand(world).welcome
    assert len(first.session) == 64
    assert (first.features, first.received, first.fresh) == ([RELIABLE], None, None)
    assert first.session not in repr(vars(world.server.sessions)["_by_token"])


def test_a_welcome_that_never_came_is_given_again_and_the_older_token_holds_until_then() -> None:
    world = World()
    one = ByHand(world)
    token = one.welcome.session
    shown = []
    for _ in range(3):
        one.hang_up()
        one = ByHand(world, token, 0)
        assert one.welcome.received == 0
        shown.append(one.welcome.session)
    assert len({token, *shown}) == 4
    one.send(pack_ack(0))
    one.send(pack_ack(0))
    assert world.server.sessions.find(token) is None
    assert [world.server.sessions.find(old) is not None for old in shown] == [False, False, True]
    one.hang_up()
    assert ByHand(world, token, 0).welcome.fresh == UNKNOWN


def test_an_attempt_that_was_given_up_may_be_read_last() -> None:
    """Its link is down, and the client knows; the server reads its HELLO behind that of the next attempt."""
    world = World()
    one = ByHand(world)
    one.hang_up()
    next_one = ByHand(world, one.welcome.session, 0)
    ByHand(world, one.welcome.session, 0)  # the late one takes the link away
    assert ByHand(world, next_one.welcome.session, 0).welcome.received == 0


def test_a_client_that_never_gets_its_token_is_known_by_the_old_one() -> None:
    world = World()
    one = ByHand(world)
    token = one.welcome.session
    others = [ByHand(world, token, 0).welcome.session for _ in range(20)]
    assert ByHand(world, token, 0).welcome.received == 0
    assert sum(world.server.sessions.find(other) is not None for other in others) < 8


@pytest.mark.parametrize("received", [1, 2**40])
def test_who_has_got_what_was_never_sent_begins_anew(received: int) -> None:
    world = World()
    one = ByHand(world)
    one.hang_up()
    assert ByHand(world, one.welcome.session, received).welcome.fresh == COUNTS
    assert len(world.server.connections) == 1


def test_who_wants_to_begin_anew_may_and_finds_its_names() -> None:
    world = World()
    one = ByHand(world)
    one.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
    again = ByHand(world, one.welcome.session)
    assert (again.welcome.fresh, again.welcome.received) == (NOT_KEPT, None)
    one.hang_up()
    assert len(world.server.sessions) == 0
    assert len(world.server.absences) == 1


def test_who_made_a_mistake_begins_anew() -> None:
    world = World()
    one = ByHand(world)
    one.send(pack_ack(17))
    assert isinstance(one.connection.error, RemoteProtocolError)
    one.hang_up()
    assert ByHand(world, one.welcome.session, 0).welcome.fresh == UNKNOWN


def test_what_has_come_is_acknowledged_after_a_moment() -> None:
    world = World()
    one, other = ByHand(world), ByHand(world)
    for each in (one, other):
        each.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
        each.read()
    assert world.server.sessions.due == world.now + ACK_S
    world.server.handle_timeout(world.now + ACK_S)
    for each in (one, other):
        (frame,) = each.read()
        assert unpack_ack(frame) == 1
    assert world.server.sessions.due is None
    one.send(pack(Kind.CALL, encode_control(AddSender("t", ["e"])), route=2))
    other.hang_up()
    assert world.server.sessions.due == world.now + ACK_S


def test_who_leaves_in_order_is_not_waited_for() -> None:
    world = World()
    end = client(world)
    end.add("s", "e")
    end.core.leave()
    world.settle()
    assert (len(world.server.sessions), len(world.server.connections)) == (0, 0)


def test_what_is_asked_of_one_who_is_away_waits_and_is_answered_once() -> None:
    world = World()
    end, requester = client(world), client(world)
    end.add("s", requests=["m"])
    answer, _ = requester.request("s", "m")
    world.settle()
    lose(world, end)
    (asked,) = end.asked()
    end.core.answering.reply(asked, b"1", None)
    later, _ = requester.request("s", "m")
    lose(world, requester)
    world.come_back(end)
    world.come_back(requester)
    assert (answer.ok, later.times) == (b"1", 0)
    end.core.answering.reply(end.asked()[1], b"2", None)
    world.settle()
    assert later.ok == b"2"
    assert len(end.asked()) == 2


def test_a_server_that_closes_ends_those_who_are_away() -> None:
    world = World()
    end = client(world)
    lose(world, end)
    world.server.close()
    assert (len(world.server.sessions), len(world.server.connections)) == (0, 0)


def test_who_is_away_and_is_sent_away_is_gone() -> None:
    world = World()
    end = client(world)
    lose(world, end)
    end.connection.remove("you have been sent away")
    world.server.settle()
    assert (len(world.server.sessions), len(world.server.connections)) == (0, 0)
    world.come_back(end)
    assert not end.core.resumed


def test_who_has_too_much_control_waiting_is_given_up() -> None:
    world = World(link_control_bytes=2000)
    end = client(world)
    end.listen(1, None, "#connect")
    lose(world, end)
    other = world.client()
    for number in range(30):
        other.add(f"sender/{number}", "e")
    assert isinstance(end.connection.error, Overloaded)
    assert len(world.server.sessions) == 0


def test_without_a_driver_nobody_is_told() -> None:
    world = World()
    end = client(world)
    world.server.sessions.moved = Sessions(world.server).moved
    lose(world, end)
    assert len(world.server.sessions) == 1


def test_requests_to_one_who_never_comes_back_are_answered_with_an_error() -> None:
    world = World()
    end, requester = client(world), world.client()
    end.add("s", requests=["m"])
    answer, _ = requester.request("s", "m", timeout=1000)
    world.settle()
    lose(world, end)
    world.advance(SESSION_S)
    assert isinstance(answer.error, ConnectionLost | SenderNotConnected)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trigger"), st.integers(1, 5)),
        st.tuples(st.just("ask"), st.booleans()),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("settle"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([ACK_S, 1.0])),
        # Of what one end has to say to the other so much comes through, then the link is down.
        st.tuples(st.sampled_from(["cut up", "cut down"]), st.tuples(st.booleans(), st.integers(0, 400))),
        st.tuples(st.sampled_from(["lose", "lose unnoticed"]), st.booleans()),
        st.tuples(st.just("return"), st.booleans()),
    ),
    max_size=40,
)


@given(steps=STEPS, window=st.sampled_from([300, 1 << 20]))
def test_whatever_becomes_of_the_links_all_is_as_if_they_held(steps: list[tuple[str, Any]], window: int) -> None:
    world = World(resend_bytes=window)
    owner, listener, watcher = client(world), client(world), world.client()
    watcher.listen(1, "s", "#disconnect")
    for end in (owner, listener):
        end.call(AddSender("s", ["e"], ["m"]) if end is owner else Listen(1, "s", "e"))
        world.settle()
        world.advance(ACK_S)
    triggered = 0
    answers: list[Answer] = []
    answered: list[RequestArrived] = []

    def gone(end: End, *, unnoticed: bool = False) -> None:
        if end in world.ends:
            lose(world, end, unnoticed=unnoticed)

    def answer() -> None:
        for asked in owner.asked()[len(answered) :]:
            answered.append(asked)
            owner.core.answering.reply(asked, asked.request.payload, None)

    for what, how in steps:
        if what == "trigger":
            for _ in range(how):
                owner.core.owning.trigger("s", "e", b"%d" % triggered)
                triggered += 1
        elif what == "ask":
            answers.append(Answer())
            listener.core.asking.request(
                "s", "m", b"%d" % len(answers), now=world.now, deadline=world.now + 1000, hops=1, done=answers[-1]
            )
        elif what == "answer":
            answer()
        elif what == "settle":
            world.settle()
        elif what == "wait":
            world.advance(how)
        elif what == "return":
            end = owner if how else listener
            if end not in world.ends:
                world.come_back(end)
        elif what.startswith("lose"):
            gone(owner if how else listener, unnoticed=what == "lose unnoticed")
        else:
            first, size = how
            end = owner if first else listener
            if end in world.ends:
                if what == "cut up":
                    world.server.receive_data(end.connection, end.core.data_to_send(1000)[:size], world.now)
                else:
                    end.core.receive_at(end.connection.data_to_send(1000)[:size], world.now)
                    end.take()
                gone(end)
    for end in (owner, listener):
        if end not in world.ends:
            world.come_back(end)
    for _ in range(30):
        answer()
        world.advance(ACK_S)
    assert [value for _, value in listener.heard()] == list(range(triggered))
    assert [each.ok for each in answers] == [b"%d" % number for number in range(1, len(answers) + 1)]
    assert len(owner.asked()) == len(answers)
    assert presence(watcher) == []
    assert not [news for news in listener.news if isinstance(news, Lost)]
    for end in (owner, listener):
        assert end.core.resumes is not None
        assert end.core.resumes.bytes == end.connection.kept == 0
        world.server.held_up(end.connection, 0)  # as a driver does whose link takes more again
    assert world.server.budget.used == 0
