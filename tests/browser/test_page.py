"""Web pages of a real browser, with `examples/browser/sig.js`, against a real server."""

from __future__ import annotations

import threading

import pytest
from examples.programs import running

import sig
from sig.testing import settle

from . import chromium
from .tabs import Script, tab

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="there is no Chromium on this machine")


def test_a_page_hears_and_is_heard(page: Script, server: sig.ServerRouter) -> None:
    heard: list[object] = []
    server.listen(lambda info, data: heard.append((info.event, data)), "page", "**")
    ours = server.add_sender("lab/oven", events=["changed"])
    page("await router.listen('lab/*', 'changed', (data, info) => heard.push([info.sender, info.event, data]));")
    ours.trigger("changed", {"celsius": 21.5, "text": "wärme\n☀"})
    page("""
        const page = await router.addSender('page', ['clicked', 'typed']);
        page.trigger('clicked', { x: 1 });
        page.trigger('typed', 'ö\\n');
        page.trigger('clicked');
        await router.flush();
    """)
    settle(server)
    assert heard == [("clicked", {"x": 1}), ("typed", "ö\n"), ("clicked", None)]
    assert page("await router.flush(); return heard;") == [
        ["lab/oven", "changed", {"celsius": 21.5, "text": "wärme\n☀"}]
    ]


def test_requests_go_both_ways(page: Script, server: sig.ServerRouter) -> None:
    server.add_sender("lab", requests={"add": sum, "fail": lambda params: 1 / 0})
    assert page("return [await router.request('lab', 'add', [1, 2, 3]), await router.request('lab', 'add', [])];") == [
        6,
        0,
    ]
    page(
        "await router.addSender('page', [], { double: async (x) => 2 * x, bad: () => { throw new RangeError('no') } });"
    )
    assert server.request("page", "double", 21) == 42
    with pytest.raises(sig.RemoteError, match="RangeError: no"):
        server.request("page", "bad")
    codes = page("""
        const codes = [];
        for (const [sender, method] of [['lab', 'fail'], ['lab', 'none'], ['nobody', 'x']])
            await router.request(sender, method).catch((error) => codes.push(error.code));
        return codes;
    """)
    assert codes == ["remote_error", "method_not_found", "sender_not_connected"]


def test_a_request_that_takes_too_long_is_given_up(page: Script, server: sig.ServerRouter) -> None:
    go = threading.Event()
    server.add_sender("slow", requests={"wait": lambda params: go.wait(60)})
    assert page("return router.request('slow', 'wait', null, 0.05).catch((error) => error.code);") == "request_timeout"
    go.set()


def test_requests_of_a_sender_that_leaves_fail(page: Script, server: sig.ServerRouter) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait(params: object) -> None:
        begun.set()
        go.wait(60)

    with sig.connect(server.urls[0]) as other:
        other.add_sender("other", requests={"wait": wait})
        page("window.asked = router.request('other', 'wait').catch((error) => error.code);")
        assert begun.wait(60)
        other.remove_sender("other")
        assert page("return asked;") == "connection_lost"
        go.set()


def test_many_events_arrive_in_order_and_so_do_large_ones(page: Script, server: sig.ServerRouter) -> None:
    one, two = (server.add_sender(f"counter/{name}", events=["n"]) for name in "ab")
    page("await router.listen('counter/**', null, (data, { sender }) => heard.push(sender + data));")
    for n in range(5_000):
        (one if n % 3 else two).trigger("n", n)
    expected = [f"counter/{'a' if n % 3 else 'b'}{n}" for n in range(5_000)]
    server.flush()
    assert page("while (heard.length < 5000) await new Promise((next) => setTimeout(next)); return heard;") == expected
    one.trigger("n", "x" * 3_000_000)
    assert (
        page("while (heard.length < 5001) await new Promise((next) => setTimeout(next)); return heard[5000].length;")
        == 3_000_009
    )


def test_a_page_sends_no_more_than_its_credit_and_all_of_it_arrives(page: Script, server: sig.ServerRouter) -> None:
    sizes: list[int] = []
    server.listen(lambda info, data: sizes.append(len(data)), "page", "big")
    sent_at_once = page("""
        const page = await router.addSender('page', ['big']), send = WebSocket.prototype.send;
        let sent = 0;
        WebSocket.prototype.send = function (data) { sent += data.length; send.call(this, data); };
        for (let n = 0; n < 50; n++) page.trigger('big', 'x'.repeat(200_000 + n));
        const sentAtOnce = sent;
        await router.flush();
        return sentAtOnce;
    """)
    settle(server)
    assert 200_000 < sent_at_once < server.limits.send_window_bytes + 201_000
    assert sizes == [200_000 + n for n in range(50)]


def test_who_has_left_hears_nothing_more(page: Script, server: sig.ServerRouter) -> None:
    sender = server.add_sender("a.b", events=["e"])
    stop = "window.stop = await router.listen('a.b', 'e', (data) => heard.push(data));"
    page(stop + "await router.listen('a*b', 'e', () => 0).catch((error) => heard.push(error.code));")
    sender.trigger("e", 1)
    page("await router.flush(); await stop();")
    sender.trigger("e", 2)
    assert page("await router.flush(); return heard;") == ["invalid_name", 1]
    assert [(s.name, s.requests) for s in server.senders()] == [("a.b", None)]
    assert page("return (await router.senders('lab/*')).length + (await router.senders()).length;") == 1


def test_coming_and_going_is_heard_by_who_asks(page: Script, server: sig.ServerRouter) -> None:
    page("await router.listen(null, '#disconnect', (data, { sender }) => heard.push([sender, data.reason]));")
    page("await router.listen('**', '**', (data, { sender }) => heard.push('never'));")
    server.add_sender("short", events=["e"])
    server.remove_sender("short")
    assert page("await router.flush(); return heard;") == [["short", "closed"]]


def test_a_listener_that_throws_costs_nobody_else_the_event(page: Script, server: sig.ServerRouter) -> None:
    sender = server.add_sender("s", events=["e"])
    page("""
        window.onerror = (text) => heard.push(text);
        await router.listen('s', 'e', () => { throw new Error('mine'); });
        await router.listen('s', 'e', (data) => heard.push(data));
    """)
    sender.trigger("e", 1)
    assert page("await router.flush(); return heard;") == ["Uncaught Error: mine", 1]


def test_a_page_that_leaves_says_so(page: Script, server: sig.ServerRouter) -> None:
    gone = threading.Event()
    reasons: list[object] = []
    server.listen(lambda info, data: (reasons.append(data["reason"]), gone.set()), "page", sig.EVENT_DISCONNECT)
    page("window.page = await router.addSender('page', ['e']);")
    assert page("return (await router.close()).code;") == "closed"
    assert gone.wait(60)
    assert reasons == ["closed"]
    assert page("return router.flush().catch((error) => error.code);") == "connection_lost"


def test_a_page_is_told_why_the_link_ends(page: Script, server: sig.ServerRouter) -> None:
    page("window.asked = router.listen('x', 'y', () => 0);")
    page("await asked;")
    server.close()
    assert page("const { code, message } = await router.closed; return [code, message];") == [
        "shutdown",
        "the server is closing",
    ]


def test_a_page_of_another_origin_is_not_let_in(
    browser: chromium.Browser, origin: str, server: sig.ServerRouter
) -> None:
    elsewhere = origin.replace("127.0.0.1", "localhost")
    with tab(browser, elsewhere, server.urls[0]) as script:
        assert script("return connect(url).catch((error) => error.name);") == "ConnectFailed"


def test_the_page_of_the_example_works(browser: chromium.Browser) -> None:
    with running("browser/host.py") as host:
        with browser.page(host.line()) as page:
            page.wait("document.getElementById('log').textContent.includes('ready')")
            assert int(page.run("return document.getElementById('celsius').value")) >= 20
            page.run("document.querySelector('button').click();")
            assert host.line().endswith(": hello")
            page.wait("document.getElementById('log').textContent.includes(': hello')")
            host.interrupt()
            page.wait("document.getElementById('log').textContent.includes('disconnected: the server is closing')")
        assert host.end() == "bye\n"
