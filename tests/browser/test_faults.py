"""What pages do with what cannot be sent, cannot be read, or is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from net.raw import Raw

import sig
from sig.protocol.frames import Kind, pack
from sig.testing import settle

from . import chromium
from .tabs import Script

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="there is no Chromium on this machine")


@pytest.fixture
def server(origin: str) -> Iterator[sig.ServerRouter]:
    with sig.serve("ws://127.0.0.1:0", "tcp://127.0.0.1:0", origins=[origin]) as server:
        yield server


@pytest.fixture
def other(server: sig.ServerRouter) -> Iterator[Raw]:
    with Raw.client(server.urls[1]) as other:
        yield other


def test_only_what_a_page_has_declared_can_be_asked(page: Script, server: sig.ServerRouter) -> None:
    page("await router.addSender('page', [], { whole: () => ({ a: [1] }), odd: () => 10n, none: () => undefined });")
    assert server.request("page", "whole") == {"a": [1]}
    assert server.request("page", "none") is None
    for method in ("constructor", "toString", "other"):
        with pytest.raises(sig.MethodNotFound, match=method):
            server.request("page", method)
    with pytest.raises(sig.InvalidData, match="cannot be said in JSON"):
        server.request("page", "odd")


def test_errors_of_ours_keep_what_they_are_on_their_way(page: Script, server: sig.ServerRouter) -> None:
    page("""
        const { SigError } = await import('/sig.js'), failure = { code: 'cold', data: { celsius: 3 } };
        await router.addSender('oven', [], {
            bake: () => { throw new SigError({ code: 'request_failed', message: 'too cold', failure }); },
            pass: () => router.request('oven', 'other'),
        });
    """)
    with pytest.raises(sig.RequestFailed, match="too cold") as failed:
        server.request("oven", "bake")
    assert (failed.value.code, failed.value.data) == ("cold", {"celsius": 3})
    with pytest.raises(sig.MethodNotFound, match="sender 'oven' has no request 'other'"):
        server.request("oven", "pass")


def test_what_cannot_be_sent_is_refused_where_it_is_said(page: Script, server: sig.ServerRouter) -> None:
    heard: list[object] = []
    server.listen(lambda info, data: heard.append(data), "page", "e")
    names = page("""
        const page = await router.addSender('page', ['e']), names = [], cycle = {};
        cycle.cycle = cycle;
        for (const bad of [1n, cycle, () => 0, 'x'.repeat(1 << 25)])
            try { page.trigger('e', bad); } catch ({ name }) { names.push(name); }
        try { page.trigger('f'); } catch ({ message }) { names.push(message); }
        for (const method of ['', 'x'.repeat(256)])
            await router.request('page', method).catch(({ name }) => names.push(name));
        page.trigger('e', 'last');
        await router.flush();
        await router.close();
        try { page.trigger('e', 'lost'); } catch ({ name }) { names.push(name); }
        return names;
    """)
    settle(server)
    assert names == [
        *["InvalidData"] * 3,
        "MessageTooBig",
        "sender 'page' has not declared event 'f'",
        *["InvalidName"] * 2,
        "ConnectionLost",
    ]
    assert heard == ["last"]


def test_a_wrong_address_is_said_to_be_one(page: Script) -> None:
    message = page("return connect('tcp://127.0.0.1:1').catch(({ name, message }) => name + ': ' + message);")
    assert message.startswith("InvalidArgument: cannot connect to tcp://127.0.0.1:1: ")


def test_what_a_page_has_missed_is_told_in_its_place(page: Script, server: sig.ServerRouter) -> None:
    page("""
        const onGap = ({ missed, reason }, { sender, event }) => heard.push([sender, event, missed, reason]);
        await router.listen('s', 'e', (data) => heard.push(data), { onGap });
    """)
    with sig.connect(server.urls[1], codec="msgpack") as client:
        sender = client.add_sender("s", events=["e"])
        sender.trigger("e", 1)
        sender.trigger("e", "x" * (server.limits.max_bridged_bytes + 1))  # which is not put into JSON
        sender.trigger("e", 2)
        client.flush()
        assert page("await router.flush(); return heard;") == [1, ["s", "e", 1, "too_big"], 2]


def test_what_is_no_json_costs_nothing_but_itself(page: Script, other: Raw) -> None:
    page("""
        window.onerror = () => heard.push('reported');
        await router.listen('raw', 'e', (data) => heard.push(data));
    """)
    routes = other.hold("raw", "e", requests=["read"])
    for payload in (b"1", b"}{", b"2"):
        other.send(pack(Kind.EVENT, bytes(8) + payload, count=1, route=routes["e"]))
    page("window.answer = router.request('raw', 'read').catch(({ name }) => name);")
    request = other.read(Kind.REQUEST)
    other.send(pack(Kind.REPLY, bytes(request.body[:8]) + b"}{", route=request.route))
    assert page("return answer;") == "InvalidData"
    assert page("await router.flush(); return heard;") == [1, "reported", 2]
