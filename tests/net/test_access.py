"""Who may come, and what they may do then, over real links, in both faces; files are followed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from net.places import place
from net.proxy import Proxy
from protocol.who import PASSWORD, by_password, credential, token

import sig
import sig.aio
from sig.security import (
    Anonymous,
    Bearer,
    Credentials,
    Identity,
    Login,
    Password,
    Policy,
    Secret,
    allow,
    deny,
    load_policy,
)
from sig.testing import settle
from sig.testing.stage import becomes

ALICE = credential(7, "alice", ("staff",))
LIMIT_S = 20.0
POLICY = '[[allow]]\nwho = "alice"\nactions = ["own", "trigger", "listen", "list"]\n[end]\n'


@pytest.fixture
def store(tmp_path: Path) -> Credentials:
    store = Credentials(tmp_path / "tokens.toml")
    store.save([ALICE, by_password("bob")])
    return store


@pytest.fixture(params=["blocking", "asyncio"])
def enter(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Connects in one face, asks who that is, and leaves."""

    def blocking(url: str, **options: Any) -> str:
        with sig.connect(url, **options) as client:
            return who(client)

    def awaited(url: str, **options: Any) -> str:
        async def main() -> str:
            async with sig.aio.connect(url, **options) as client:
                return who(client)

        return asyncio.run(main())

    return blocking if request.param == "blocking" else awaited


def who(client: Any) -> str:
    welcome = client._driver.core.welcome
    assert welcome is not None
    return str(welcome.identity)


def refused(url: str, auth: str) -> bool:
    try:
        sig.connect(url, auth=auth).close()
    except sig.Denied:
        return True
    return False


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls", "ws"])
def test_tokens_and_passwords_are_taken_on_every_carrier(
    kind: str, store: Credentials, enter: Callable[..., str]
) -> None:
    with place(kind) as where, sig.serve(where.url, auth=store, **where.server) as server:
        url = server.urls[0]
        assert enter(url, auth=token(7), **where.client) == "alice"
        assert enter(url, auth=Password("bob", PASSWORD), **where.client) == "bob"
        for wrong in (token(8), Password("bob", "wrong"), Password("nobody", "x")):
            with pytest.raises(sig.Denied, match="does not know that token or password"):
                enter(url, auth=wrong, **where.client)
        if kind == "unix":
            assert enter(url, **where.client).startswith("uid:")
        else:
            with pytest.raises(sig.Denied, match="wants to know who you are"):
                enter(url, **where.client)


def test_a_right_that_is_given_back_is_of_use_to_who_listens_already() -> None:
    may = Policy([allow("*", ["own", "trigger", "listen"])])
    heard: list[object] = []
    with sig.serve("tcp://127.0.0.1:0", acl=may) as server, sig.connect(server.urls[0]) as client:
        sender = server.add_sender("s", events=["e"])
        client.listen(lambda info, data: heard.append(data), "s", "e", on_gap=lambda info, gap: heard.append(gap))
        for policy, number in ((may, 1), (Policy([deny("*", "listen")]), 2), (may, 3)):
            server.set_acl(policy)
            sender.trigger("e", number)
            settle(server, client)
    assert heard == [1, 3]


def test_the_environment_may_say_who_one_is(store: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIG_TOKEN", token(7))
    with sig.serve("tcp://127.0.0.1:0", auth=[store, Anonymous()]) as server:
        with sig.connect(server.urls[0]) as client:
            assert who(client) == "alice"
        monkeypatch.setenv("SIG_TOKEN", "")
        with sig.connect(server.urls[0]) as client:
            assert who(client) == ""
        monkeypatch.setenv("SIG_TOKEN", "S3CR3T")
        with pytest.raises(sig.InvalidArgument, match="this is no token") as caught:
            sig.connect(server.urls[0])
        assert "S3CR3T" not in str(caught.value)


def test_an_asyncio_server_asks_too(store: Credentials) -> None:
    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0", auth=store, acl=Policy([allow("alice", "admin")])) as server:
            async with sig.aio.connect(server.urls[0], auth=token(7)) as alice:
                assert [row.identity for row in await alice.clients()] == ["alice"]
                with pytest.raises(sig.Denied, match="you may not register sender 's': no rule allows it"):
                    await alice.add_sender("s", "e")
                await server.set_acl(Policy([allow("alice", "own")]))
                await alice.add_sender("s", "e")
                assert await server.kick("alice") == 1
                with pytest.raises(sig.ConnectionLost, match="sent away"):
                    await alice.wait()
            with pytest.raises(sig.Denied):
                await sig.aio.connect(server.urls[0])

    asyncio.run(main())


# -- one's own authenticator ---------------------------------------------------------------------


def plain(login: Login) -> object:
    text = login.text.reveal().decode()
    if text == "S3CR3T-fail":
        raise RuntimeError("no data base")
    if text == "S3CR3T-no":
        raise sig.Denied("not you")
    found: dict[str, object] = {"name": "carl", "identity": Identity("dora", expires=time.time() + 3600), "number": 3}
    return found.get(text)


async def awaited(login: Login) -> object:
    await asyncio.sleep(0)
    return plain(login)


class Asked:
    async def __call__(self, login: Login) -> object:
        return plain(login)


@pytest.mark.parametrize("ask", [plain, awaited, Asked()], ids=["a function", "a coroutine function", "an object"])
def test_ones_own_authenticator_decides(ask: Any, enter: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    with sig.serve("tcp://127.0.0.1:0", auth=ask) as server:
        url = server.urls[0]
        assert enter(url, auth=Bearer("name")) == "carl"
        assert enter(url, auth=Bearer(Secret("identity"))) == "dora"
        assert enter(url, auth=Bearer(lambda: "name")) == "carl"
        for text, told in (
            ("S3CR3T-no", "not you"),
            ("S3CR3T-unknown", "what you gave as auth= was not accepted"),
            ("S3CR3T-fail", "could not find out"),
        ):
            with pytest.raises(sig.Denied, match=told):
                enter(url, auth=Bearer(text))
    assert "the authenticator failed for tcp://127.0.0.1:" in caplog.text
    assert "RuntimeError: no data base" in caplog.text
    assert "S3CR3T" not in caplog.text


@pytest.mark.parametrize("found", [3, "", "anonymous", Identity("")])
def test_what_it_returns_must_be_somebody(found: object, caplog: pytest.LogCaptureFixture) -> None:
    ask: Any = lambda login: found  # noqa: E731
    with sig.serve("tcp://127.0.0.1:0", auth=ask) as server, pytest.raises(sig.Denied, match="could not find out"):
        sig.connect(server.urls[0], auth=Bearer("x"))
    assert "InvalidArgument" in caplog.text


def test_what_is_to_be_awaited_needs_asyncio() -> None:
    async def later() -> str:
        return "name"

    with sig.serve("tcp://127.0.0.1:0", auth=plain) as server:
        with pytest.raises(sig.InvalidArgument, match="needs sig.aio"):
            sig.connect(server.urls[0], auth=Bearer(later))

        async def main() -> str:
            async with sig.aio.connect(server.urls[0], auth=Bearer(later)) as client:
                return who(client)

        assert asyncio.run(main()) == "carl"


def test_one_that_hangs_costs_its_own_client_and_no_more_than_four_are_asked_at_once() -> None:
    hold, inside, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def slow(login: Login) -> str:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        hold.wait(LIMIT_S)
        with lock:
            inside[0] -= 1
        return "carl"

    with sig.serve("tcp://127.0.0.1:0", auth=[slow, Anonymous()], handshake_timeout_s=LIMIT_S) as server:
        url = server.urls[0]
        names: list[str] = []

        def connect() -> None:
            with sig.connect(url, auth=Bearer("x")) as client:
                names.append(who(client))

        threads = [threading.Thread(target=connect) for _ in range(6)]
        for thread in threads:
            thread.start()
        becomes(lambda: inside[0] == 4, True)
        with sig.connect(url) as other:
            assert other.senders() == []
        hold.set()
        for thread in threads:
            thread.join(LIMIT_S)
        assert (names, most[0]) == (["carl"] * 6, 4)


def test_an_end_of_the_server_does_not_wait_for_it() -> None:
    hold = threading.Event()
    with sig.serve("tcp://127.0.0.1:0", auth=lambda login: hold.wait(LIMIT_S) and None) as server:
        refused: list[BaseException] = []

        def connect() -> None:
            try:
                sig.connect(server.urls[0], auth=Bearer("x"))
            except sig.SigError as error:
                refused.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        becomes(lambda: any(c.login is not None for c in server._server.core.connections.values()), True)  # type: ignore[union-attr]
    thread.join(LIMIT_S)
    hold.set()
    assert len(refused) == 1


# -- what is wrong with what one says ------------------------------------------------------------


def test_beyond_this_machine_a_server_must_know_who_comes_or_be_told_not_to_care(store: Credentials) -> None:
    for options in ({}, {"auth": [store, Anonymous()]}, {"acl": Policy()}):
        with pytest.raises(sig.InvalidArgument, match="say who may come .auth=.*insecure_public=True"):
            sig.serve("tcp://0.0.0.0:0", **options)
    with sig.serve("tcp://0.0.0.0:0", auth=store):
        pass
    with sig.serve("tcp://0.0.0.0:0", insecure_public=True):
        pass


def test_what_would_cross_the_network_for_all_to_read_is_not_sent() -> None:
    for url in ("tcp://192.0.2.1:9", "ws://192.0.2.1:9"):
        with pytest.raises(sig.InvalidArgument, match="for all to read"):
            sig.connect(url, auth=Bearer("x"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"auth": 3}, "not a int"),
        ({"auth": [plain, awaited]}, "two functions"),
        ({"acl": 3}, "not a int"),
        ({"acl": "/nowhere/p.toml"}, "the policy cannot be read: /nowhere/p.toml"),
        ({"auth": "/nowhere/t.toml"}, "the credentials cannot be read: /nowhere/t.toml"),
    ],
)
def test_what_is_no_way_to_log_in_is_refused_at_the_start(options: dict[str, Any], told: str) -> None:
    with pytest.raises(sig.InvalidArgument, match=told):
        sig.serve("tcp://127.0.0.1:0", **options)


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"x" * 17_000_000, POLICY[:-3].encode()], ids=["empty", "bytes", "much", "cut"]
)
def test_a_policy_that_is_not_right_starts_no_server(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(text)
    with pytest.raises(sig.InvalidArgument, match="policy.toml"):
        sig.serve("tcp://127.0.0.1:0", acl=path)


def test_a_policy_without_rules_says_that_it_denies_everything(caplog: pytest.LogCaptureFixture) -> None:
    with sig.serve("tcp://127.0.0.1:0", acl=Policy()) as server, sig.connect(server.urls[0], reconnect=False) as client:
        assert "everything is denied to everybody" in caplog.text
        for verb in (lambda: client.add_sender("s", "e"), lambda: client.listen(print), client.stats, client.clients):
            with pytest.raises(sig.Denied, match="no rule allows it"):
                verb()


# -- changes -------------------------------------------------------------------------------------


def test_files_are_followed_and_what_is_wrong_changes_nothing(
    tmp_path: Path, store: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sig")
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    with sig.serve("tcp://127.0.0.1:0", auth=store, acl=path) as server:
        url = server.urls[0]
        with (
            sig.connect(url, auth=token(7), reconnect=False) as alice,
            sig.connect(url, auth=Password("bob", PASSWORD), reconnect=False) as bob,
        ):
            sender = alice.add_sender("s", "e")
            path.write_text(POLICY.replace("own", "owm"))
            becomes(lambda: "did you mean 'own'?; what held before still holds" in caplog.text, True)
            assert sender.connected
            path.write_text(POLICY.replace('"alice"', '["alice", "bob"]'))
            becomes(lambda: bool(bob.senders()), True)
            path.unlink()
            becomes(lambda: "cannot be read" in caplog.text, True)
            assert bob.senders()
            store.save([by_password("bob")])
            with pytest.raises(sig.ConnectionLost, match="holds no more"):
                alice.wait(LIMIT_S)
            # Although the policy is missing still: a mistake in one file is none in the other.
            assert bob.state == "connected"


def test_another_policy_holds_from_one_moment_to_the_next(tmp_path: Path) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        sender = client.add_sender("s", "e")
        server.set_acl(Policy([deny("*", "trigger"), allow("*", "own")]))
        client.flush()  # behind what it is told
        with pytest.raises(
            sig.Denied, match="you may not trigger event 'e' of sender 's': rule 'deny .: trigger' denies"
        ):
            sender.trigger("e", 1)
        path = tmp_path / "p.toml"
        with pytest.raises(sig.InvalidArgument, match="cannot be read"):
            server.set_acl(path)
        with pytest.raises(sig.InvalidArgument, match="not a int"):
            server.set_acl(3)  # type: ignore[arg-type]
        path.write_text('[[allow]]\nwho = "*"\nactions = ["own", "trigger"]\n[end]\n')
        server.set_acl(path)
        assert len(load_policy(path).rules) == 1
        client.flush()
        sender.trigger("e", 1)
        path.write_text("[end]\n")
        becomes(lambda: not sender.connected or not server.senders(), True)
        server.set_acl(None)
        with pytest.raises(sig.InvalidArgument, match="start it first"):
            sig.ServerRouter().set_acl(None)


def test_what_expires_ends_its_links(tmp_path: Path) -> None:
    store = Credentials(tmp_path / "t.toml")
    store.save([credential(7, "alice", expires=int(time.time()) + 2.0)])
    with (
        sig.serve("tcp://127.0.0.1:0", auth=store) as server,
        sig.connect(server.urls[0], auth=token(7)) as client,
    ):
        with pytest.raises(sig.ConnectionLost, match="has expired"):
            client.wait(LIMIT_S)
        assert not client.wait_connected(LIMIT_S)  # and it does not try again
        with pytest.raises(sig.Denied, match="has expired"):
            sig.connect(server.urls[0], auth=token(7))


def test_who_comes_back_proves_again_who_he_is_and_once_refused_does_not_try_again(tmp_path: Path) -> None:
    store = Credentials(tmp_path / "t.toml")
    store.save([credential(7, "alice")])
    with sig.serve("tcp://127.0.0.1:0", auth=store) as server, Proxy(server.urls[0]) as proxy:
        heard: list[str] = []
        with sig.connect(proxy.url, auth=token(7), reconnect_first_s=0.01) as client:
            client.on_state = heard.append
            proxy.cut()
            becomes(lambda: heard == ["away", "connected"], True)
            assert client.senders() == []
            proxy.cut_off()
            becomes(lambda: heard[2:] == ["away"], True)
            store.save([credential(8, "bob")])
            becomes(lambda: refused(server.urls[0], token(7)), True)
            proxy.accept()
            with pytest.raises(sig.ConnectionLost, match="does not know that token"):
                client.wait(LIMIT_S)
            assert not client.wait_connected(LIMIT_S)
            with pytest.raises(sig.ConnectionLost, match="does not know that token"):
                client.senders()
        assert heard == ["away", "connected", "away", "closed"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIG_TOKEN", raising=False)


def test_whoever_watches_the_door_hears_what_happens_there(store: Credentials) -> None:
    told: list[Any] = []
    with sig.serve("tcp://127.0.0.1:0", auth=store) as server:
        server.listen(lambda info, data: told.append((info.sender, data["what"])), "server", "#audit")
        with sig.connect(server.urls[0], auth=token(7)), pytest.raises(sig.Denied):
            sig.connect(server.urls[0], auth=token(8))
        becomes(lambda: len(told) == 2, True)
    assert told == [("server", "connected"), ("server", "refused")]


@pytest.mark.parametrize("how", [{}, {"group": "g"}, {"when_full": "block"}, {"iterated": True}], ids=str)
@pytest.mark.parametrize("named", [True, False, None])
def test_the_door_is_watched_by_those_alone_whose_rule_names_it(how: dict[str, Any], named: bool | None) -> None:
    """A rule that allows all events does not; and where there are no rules nobody does."""
    rules = {True: [allow("anonymous", "listen", events="#audit")], False: [allow("anonymous", "listen")]}
    acl = None if named is None else Policy(rules[named])
    with sig.serve("tcp://127.0.0.1:0", acl=acl) as server, sig.connect(server.urls[0]) as client, ExitStack() as stack:
        told: list[object] = []

        def watch() -> object:
            if not how.get("iterated"):
                return client.listen(lambda info, data: told.append(data["what"]), "server", "#audit", **how)
            return stack.enter_context(client.events("server", "#audit"))

        if named is False:
            with pytest.raises(sig.Denied, match="may not listen to event '#audit'"):
                watch()
            return
        found = watch()
        server.set_acl(acl)  # which is told to whoever watches
        if named is None:
            client.flush()
            settle(client)
            assert told == []
        elif how.get("iterated"):
            assert next(iter(found)).data["what"] == "reloaded"  # type: ignore[call-overload]
        else:
            becomes(lambda: told == ["reloaded"], True)


def test_a_right_that_is_taken_away_ends_streams_and_requests(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    owner = '[[allow]]\nwho = "anonymous"\nactions = ["own", "list"]\n'
    path.write_text(f'{owner}[[allow]]\nwho = "anonymous"\nactions = "request"\n[end]\n')
    begun, ended, go = threading.Event(), threading.Event(), threading.Event()

    def count(params: object) -> Iterator[int]:
        try:
            yield 1
            while not go.wait(0.01):
                yield 2
        finally:
            ended.set()

    def wait(params: object) -> None:
        begun.set()
        go.wait(LIMIT_S)

    with sig.serve("tcp://127.0.0.1:0", acl=path) as server, sig.connect(server.urls[0]) as guest:
        server.add_sender("s", requests={"count": count, "wait": wait})
        try:
            asked = guest.start_request("s", "wait", timeout=LIMIT_S)
            with guest.stream("s", "count") as parts:
                assert next(iter(parts)) == 1
                assert begun.wait(LIMIT_S)
                path.write_text(f"{owner}[end]\n")
                with pytest.raises(sig.Denied, match="you may not ask for 'count' of sender 's': no rule allows it"):
                    for _ in parts:
                        pass
                with pytest.raises(sig.Denied, match="you may not ask for 'wait'"):
                    asked.result(LIMIT_S)
            assert ended.wait(LIMIT_S)  # it need not go on
        finally:
            go.set()


def test_of_those_who_race_for_a_name_one_has_it_and_the_others_know() -> None:
    many = 8
    begin = threading.Barrier(many)

    def claim(client: sig.ClientRouter) -> bool:
        begin.wait(LIMIT_S)
        try:
            client.add_sender("s", ["e"])
        except sig.SenderAlreadyConnected:
            return False
        return True

    with sig.serve("tcp://127.0.0.1:0") as server, ExitStack() as stack, ThreadPoolExecutor(many) as pool:
        clients = [stack.enter_context(sig.connect(server.urls[0])) for _ in range(many)]
        assert sorted(pool.map(claim, clients)) == [False] * (many - 1) + [True]
        assert [row.name for row in server.senders()] == ["s"]
