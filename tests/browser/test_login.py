"""Web pages that prove who they are, to servers that let in nobody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples.programs import running
from protocol.who import PASSWORD, by_password, credential, token

import sig
from sig.security import Credentials, Identity, Login, Policy, allow, deny

from . import chromium
from .tabs import Script, tab

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="there is no Chromium on this machine")

TOLD = "return connect(url, {}).then((router) => router.identity, ({{ name, message }}) => [name, message]);"


@pytest.fixture
def server(origin: str, tmp_path: Path) -> Iterator[sig.ServerRouter]:
    store = Credentials(tmp_path / "tokens.toml")
    store.save([credential(7, "alice"), by_password("bob")])
    policy = Policy([allow("alice", ["own", "trigger", "listen", "list"]), deny("alice", "trigger", events="boom")])
    with sig.serve("ws://127.0.0.1:0", origins=[origin], auth=store, acl=policy) as server:
        yield server


@pytest.fixture
def script(browser: chromium.Browser, origin: str, server: sig.ServerRouter) -> Iterator[Script]:
    with tab(browser, origin, server.urls[0]) as script:
        yield script


def told(script: Script, **login: str) -> Any:
    """Who the page is once it has connected, or why it has not."""
    return script(TOLD.format(json.dumps(login)))


def test_tokens_and_passwords_let_pages_in_and_nothing_else_does(script: Script) -> None:
    assert told(script, token=token(7)) == "alice"
    assert told(script, user="bob", password=PASSWORD) == "bob"
    unknown = "does not know that token or password"
    for login in ({"token": token(8)}, {"user": "bob", "password": "wrong"}, {"user": "nobody", "password": "x"}):
        name, message = told(script, **login)
        assert name == "Denied"
        assert unknown in message
    name, message = told(script)
    assert name == "Denied"
    assert "wants to know who you are" in message


def test_what_is_proved_does_not_cross_the_link(script: Script) -> None:
    script("""
        const send = WebSocket.prototype.send;
        window.sent = "";
        WebSocket.prototype.send = function (data) { sent += new TextDecoder().decode(data); send.call(this, data); };
    """)
    assert told(script, token=token(7)) == "alice"
    assert told(script, user="bob", password=PASSWORD) == "bob"
    sent = script("return sent;")
    assert '"login":"bob"' in sent
    assert PASSWORD not in sent
    assert token(7).split("-", 2)[2] not in sent


def test_what_is_no_login_is_said_before_anything_is_sent(script: Script) -> None:
    for login, sentence in (
        ({"token": "beam"}, "this is no token"),
        ({"user": "bob"}, "needs user and password"),
        ({"token": token(7), "bearer": "x"}, "not several"),
    ):
        name, message = told(script, **login)
        assert name == "InvalidArgument"
        assert sentence in message


def test_a_page_that_is_sent_away_is_told_why(script: Script, server: sig.ServerRouter) -> None:
    script(f"window.router = await connect(url, {{ token: {token(7)!r} }});")
    assert server.kick("alice", "the lab is closed") == 1
    code, message = script("const { code, message } = await router.closed; return [code, message];")
    assert code == "denied"
    assert "the lab is closed" in message
    assert "the lab is closed" in script("return router.flush().catch((error) => error.message);")


def test_a_page_whose_token_is_taken_away_is_sent_away(
    script: Script, server: sig.ServerRouter, tmp_path: Path
) -> None:
    script(f"window.router = await connect(url, {{ token: {token(7)!r} }});")
    Credentials(tmp_path / "tokens.toml").save([by_password("bob")])
    assert script("return (await router.closed).code;") == "denied"
    assert told(script, token=token(7))[0] == "Denied"


def test_a_page_may_do_what_the_policy_says(script: Script, server: sig.ServerRouter) -> None:
    script(f"window.router = await connect(url, {{ token: {token(7)!r} }});")
    server.add_sender("lab", requests={"read": lambda params: 1})
    assert script("return router.request('lab', 'read').catch(({ name }) => name);") == "Denied"
    message = script("""
        const page = await router.addSender("page", ["ok", "boom"]);
        page.trigger("ok");
        await router.flush();
        try { page.trigger("boom"); } catch ({ name, message }) { return [name, message]; }
    """)
    assert message[0] == "Denied"
    assert message[1].startswith("you may not trigger event 'boom' of sender 'page': ")


def test_the_servers_own_authenticator_is_given_what_the_page_has(browser: chromium.Browser, origin: str) -> None:
    def known(login: Login) -> Identity | None:
        return Identity("carol") if login.text.reveal() == b"ticket" else None

    with (
        sig.serve("ws://127.0.0.1:0", origins=[origin], auth=known) as server,
        tab(browser, origin, server.urls[0]) as script,
    ):
        assert told(script, bearer="ticket") == "carol"
        assert script("return (await connect(url, { bearer: async () => 'ticket' })).identity;") == "carol"
        assert told(script, bearer="forged")[0] == "Denied"
        for login in ({"token": token(7)}, {"user": "bob", "password": "x"}):
            assert told(script, **login)[0] == "Denied"
        script("window.url = 'ws://lab.example:1/';")
        assert "would cross the network" in told(script, bearer="ticket")[1]


def test_a_page_that_came_over_clear_text_says_that_it_cannot_log_in(
    browser: chromium.Browser, origin: str, server: sig.ServerRouter
) -> None:
    elsewhere = origin.replace("127.0.0.1", "lab.example")  # which leads here, see chromium.py
    with tab(browser, elsewhere, server.urls[0]) as script:
        assert script("return isSecureContext;") is False
        name, message = told(script, token=token(7))
        assert name == "InsecurePage"
        assert "Open it by https://" in message


@pytest.mark.parametrize(("n", "r", "p"), [(2**14, 8, 1), (2**14, 9, 2)])
def test_passwords_are_hashed_as_everywhere(script: Script, n: int, r: int, p: int) -> None:
    hashed = script(f"""
        const {{ scrypt }} = await import("/login.js"), bytes = (text) => new TextEncoder().encode(text);
        return Array.from(await scrypt(bytes("glüh"), bytes("salt"), {n}, {r}, {p}));
    """)
    assert bytes(hashed) == hashlib.scrypt("glüh".encode(), salt=b"salt", n=n, r=r, p=p, maxmem=2**26, dklen=32)


def test_a_server_that_wants_passwords_cheaply_or_dearly_is_refused(script: Script) -> None:
    refused = script("""
        const { scrypt } = await import("/login.js"), none = new Uint8Array(), codes = [];
        for (const cost of [[2 ** 13, 8, 1], [2 ** 14, 7, 1], [2 ** 18, 8, 1], [2 ** 15 + 1, 8, 1], [2 ** 14, 8, 5]])
            await scrypt(none, none, ...cost).catch((error) => codes.push(error.code));
        return codes;
    """)
    assert refused == ["denied"] * 5


def test_a_server_that_asks_for_something_else_than_the_page_has_is_not_answered(script: Script) -> None:
    messages = script(f"""
        const {{ prover }} = await import("/login.js"), messages = [], nonce = "zz";
        for (const [login, challenge] of [
            [{{ bearer: "x" }}, {{ method: "proof" }}],
            [{{ token: {token(7)!r} }}, {{ method: "own" }}],
            [{{ user: "bob", password: "x" }}, {{ method: "own" }}],
            [{{ token: {token(7)!r} }}, {{ method: "proof", nonce }}],
        ])
            await prover(url, login).answer(challenge).catch(({{ code, message }}) => messages.push([code, message]));
        return messages;
    """)
    assert [code for code, _ in messages] == ["denied"] * 4
    assert messages[0][1].endswith("give token, or user and password")
    assert messages[1][1].endswith("give bearer")
    assert messages[2][1].endswith("give bearer")
    assert messages[3][1].endswith("it is none of ours")


def test_the_page_of_the_example_logs_in(browser: chromium.Browser) -> None:
    with running("browser/login_host.py") as host:
        with browser.page(host.line()) as page:
            page.run("password.value = 'wrong'; document.querySelector('button').click();")
            page.wait("told.textContent.startsWith('Denied: this server does not know that token or password')")
            page.run("password.value = 'glass'; document.querySelector('button').click();")
            page.wait("told.textContent === 'Welcome, panel. The oven is at 20 °C.'")
            host.interrupt()
            page.wait("told.textContent === 'The link has ended: the server is closing'")
        assert host.end() == "bye\n"
