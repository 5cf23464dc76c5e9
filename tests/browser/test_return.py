"""Web pages whose link is lost, and who come back by themselves; or stay away where they were refused."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from examples.programs import environment
from net.proxy import Proxy
from protocol.who import credential, token

import sig
from sig.security import Anonymous, Credentials
from sig.testing import settle

from . import chromium
from .tabs import Script, tab

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="there is no Chromium on this machine")

# Attempts follow each other quickly, for chance is what it is here.
READY = """
    Math.random = () => 0.05;
    window.until = async (condition) => { while (!condition()) await new Promise((next) => setTimeout(next, 10)); };
    window.come = async (options) => {
        window.states = [];
        window.router = await connect(url, { reconnect: true, ...options });
        router.onState = (state) => states.push(state);
    };
"""
AWAY = "await until(() => router.state === 'away');"
BACK = "await until(() => router.state === 'connected');"


@pytest.fixture
def server(origin: str, tmp_path: Path) -> Iterator[sig.ServerRouter]:
    store = Credentials(tmp_path / "tokens.toml")
    store.save([credential(7, "alice")])
    auth = [store, Anonymous()]
    with sig.serve("ws://127.0.0.1:0", origins=[origin], auth=auth, presence_grace_s=60) as server:
        yield server


@pytest.fixture
def proxy(server: sig.ServerRouter) -> Iterator[Proxy]:
    with Proxy(server.urls[0].replace("ws:", "tcp:")) as proxy:
        yield proxy


@pytest.fixture
def script(browser: chromium.Browser, origin: str, proxy: Proxy) -> Iterator[Script]:
    with tab(browser, origin, proxy.url.replace("tcp:", "ws:")) as script:
        script(READY)
        yield script


def test_a_page_comes_back_with_all_that_it_had_and_knows_what_it_has_missed(
    script: Script, server: sig.ServerRouter, proxy: Proxy
) -> None:
    gone: list[str] = []
    server.listen(lambda info, data: gone.append(info.sender), None, sig.EVENT_DISCONNECT)
    oven = server.add_sender("oven", events=["changed"], requests={"read": lambda params: 20})
    script("""
        await come();
        const onGap = ({ missed, reason }, { sender, event }) => heard.push([sender, event, missed, reason]);
        window.stop = await router.listen("oven", "changed", (data) => heard.push(data), { onGap });
        window.page = await router.addSender("page", ["clicked"], { double: (x) => 2 * x });
    """)
    oven.trigger("changed", 1)
    script("await until(() => heard.length === 1);")
    proxy.cut_off()
    assert (
        script(
            AWAY
            + """
        const codes = [];
        await router.request("oven", "read").catch(({ name }) => codes.push(name));
        await router.listen("oven", null, () => heard.push("never")).catch(({ name }) => codes.push(name));
        try { page.trigger("clicked"); } catch ({ name }) { codes.push(name); }
        return codes;
    """
        )
        == ["ConnectionLost"] * 3
    )
    for number in (2, 3, 4):
        oven.trigger("changed", number)
    server.flush()
    proxy.accept()
    assert script(BACK + "await router.flush(); return router.request('oven', 'read');") == 20
    oven.trigger("changed", 5)
    script("await until(() => heard.includes(5));")
    assert script("return heard;") == [1, ["oven", "changed", 3, "lost_link"], 5]
    assert server.request("page", "double", 21) == 42
    heard: list[object] = []
    server.listen(lambda info, data: heard.append(data), "page", "clicked")
    script("page.trigger('clicked', 1); await router.flush(); await stop();")
    settle(server)
    assert (heard, gone) == ([1], [])
    assert script("await router.close(); return states;") == ["away", "connected", "closed"]


def test_a_page_comes_back_to_a_server_that_was_started_again(browser: chromium.Browser, origin: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(sig.serve("ws://127.0.0.1:0", origins=[origin], retry_after_s=0.01))
        script = stack.enter_context(tab(browser, origin, server.urls[0]))
        other = stack.enter_context(sig.connect(server.urls[0], reconnect_first_s=0.05))
        oven = other.add_sender("oven", events=["changed"])
        script(READY)
        script("""
            await come();
            const onGap = ({ missed, reason }) => heard.push([missed, reason]);
            await router.listen("oven", "changed", (data) => heard.push(data), { onGap });
            await router.addSender("page", [], { double: (x) => 2 * x });
        """)
        oven.trigger("changed", 1)
        other.flush()  # so that it knows what has arrived
        script("await until(() => heard.length === 1);")
        server.close()
        script(AWAY)
        again = stack.enter_context(sig.serve(server.urls[0], origins=[origin]))
        script(BACK + "await router.flush();")
        assert again.sender("oven").wait(60)
        assert other.wait_connected(60)
        oven.trigger("changed", 2)
        other.flush()
        script("await until(() => heard.includes(2));")
        first, gap, *told, last = script("return heard;")
        assert (first, gap, last) == (1, [None, "server_restart"], 2)
        # Whether the first server had passed on all that it routed, the sender does not know either.
        assert told in ([], [[None, "lost_link"]])
        assert again.request("page", "double", 21) == 42


def test_who_is_refused_does_not_try_again(script: Script, proxy: Proxy, tmp_path: Path) -> None:
    script(f"await come({{ token: {token(7)!r} }});")
    proxy.cut_off()
    script(AWAY)
    Credentials(tmp_path / "tokens.toml").save([credential(8, "bob")])
    # The server reads that within a second. Until then the page may be let in once more, and is sent away.
    proxy.accept()
    assert script("const { code } = await router.closed; return [code, router.state];") == ["denied", "closed"]


def test_a_page_that_is_sent_away_stays_away(script: Script, server: sig.ServerRouter) -> None:
    script(f"await come({{ token: {token(7)!r} }});")
    assert server.kick("alice", "enough") == 1
    assert script("return [(await router.closed).code, states];") == ["denied", ["closed"]]


def test_closing_ends_the_attempts(script: Script, proxy: Proxy) -> None:
    script("await come();")
    proxy.cut_off()
    assert script(AWAY + "return [(await router.close()).code, states];") == ["closed", ["away", "closed"]]


def test_closing_ends_an_attempt_that_is_under_way(script: Script, proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        script("await come({ timeout: 600 });")
        script(f"""
            window.tried = [];
            window.WebSocket = class extends WebSocket {{
                constructor(_, protocol) {{
                    super("ws://127.0.0.1:{silent.getsockname()[1]}/", protocol);
                    tried.push(this);
                }}
            }};
        """)
        proxy.cut_off()
        assert script("await until(() => tried.length); return (await router.close()).code;") == "closed"
        script("await until(() => tried[0].readyState === WebSocket.CLOSED);")
        assert script("return states;") == ["away", "closed"]


def test_the_first_attempt_is_the_only_one(script: Script, proxy: Proxy) -> None:
    proxy.refuse()
    assert script("return connect(url, { reconnect: true }).catch(({ name }) => name);") == "ConnectFailed"


def test_a_server_that_hangs_is_noticed(browser: chromium.Browser, origin: str) -> None:
    words = ["serve", "ws://127.0.0.1:0", "--origin", origin, "--heartbeat-s", "0.4", "--heartbeat-timeout-s", "2"]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "sig", *words], stdout=subprocess.PIPE, text=True, env=environment()
    ) as hanging:
        try:
            assert hanging.stdout is not None
            url = hanging.stdout.readline().split()[-1]
            with tab(browser, origin, url) as script:
                script("window.router = await connect(url);")
                os.kill(hanging.pid, signal.SIGSTOP)
                message = script("return (await router.closed).message;")
                assert message == "the server has said nothing for too long"
        finally:
            hanging.kill()
