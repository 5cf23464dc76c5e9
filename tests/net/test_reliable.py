"""Links with `reliable=True`: cut anywhere, over each carrier, in both faces, and nothing is lost, doubled or told."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from net.book import LIMIT_S, Book
from net.proxy import Proxy
from net.unbroken import EVENTS, OVER, QUICK, Hasty, check, cut_anywhere
from protocol.pairs import World as Wires

import sig
import sig.aio
from sig import linked
from sig.protocol.frames import HEADER, PREFACE
from sig.protocol.session import Session
from sig.testing import Fault, Faults
from sig.testing.faults import Way

OPTIONS: dict[str, Any] = {**QUICK, "reliable": True}


# All of it, at every byte: python -m benchmarks.reliability reliable
@pytest.mark.parametrize("carrier", OVER)
def test_a_session_that_is_cut_goes_on(carrier: str) -> None:
    if carrier == "serial":
        pytest.importorskip("sig.carriers.serial", exc_type=ImportError)
    step = 401 if carrier == "serial" else 97  # a line takes its time until it is open again
    found = cut_anywhere(carrier, step, random.randrange(step))
    assert 0 < found.cut <= found.links


@pytest.mark.parametrize(
    ("at_client", "at_server"),
    [
        ([*range(EVENTS - 1)], [*range(EVENTS)]),
        ([*range(EVENTS)], [0, *range(EVENTS)]),
        ([1, 0, *range(2, EVENTS)], [*range(EVENTS)]),
        ([*range(EVENTS), sig.Gap(1, "lost_link")], [*range(EVENTS)]),
        ([*range(EVENTS)], [*range(EVENTS), "#disconnect", "#connect"]),
    ],
    ids=["lost", "doubled", "swapped", "told of a loss", "a pair"],
)
def test_the_oracle_sees_what_is_wrong(at_client: list[object], at_server: list[object]) -> None:
    check([*range(EVENTS)], ["#connect", *range(EVENTS), "#disconnect"])
    with pytest.raises(AssertionError, match="heard"):
        check(at_client, ["#connect", *at_server, "#disconnect"])


def lose_a_piece(pieces: list[bytes]) -> list[bytes]:
    return pieces[:3] + pieces[4:]


def double_a_frame(pieces: list[bytes]) -> list[bytes]:
    return pieces[:3] + pieces[2:]


def swap_two(pieces: list[bytes]) -> list[bytes]:
    return pieces[:3] + pieces[4:5] + pieces[3:4] + pieces[5:]


@pytest.mark.parametrize("planted", [None, lose_a_piece, double_a_frame, swap_two])
def test_the_oracle_sees_a_fault_in_what_is_sent_again(
    planted: Callable[[list[bytes]], list[bytes]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wires()
    owner, listener = wire.client(reliable=True), wire.client()
    owner.add("c", "e")
    listener.listen(1, "c", "e")
    wire.settle()
    for number in range(EVENTS):
        owner.core.owning.trigger("c", "e", b"%d" % number)
        assert owner.core.data_to_send(1000)  # and it gets no further
    wire.lose(owner)
    resume = Session.resume
    if planted is not None:
        monkeypatch.setattr(Session, "resume", lambda session, received: planted(resume(session, received)))
    wire.come_back(owner)
    heard = [value for _, value in listener.heard()]
    if planted is None:
        check(heard, ["#connect", *range(EVENTS), "#disconnect"])
    else:
        with pytest.raises(AssertionError, match="the client heard"):
            check(heard, ["#connect", *range(EVENTS), "#disconnect"])


def test_the_oracle_sees_an_acknowledgement_of_what_never_came(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wires()
    owner, listener = wire.client(reliable=True), wire.client()
    owner.add("c", "e")
    listener.listen(1, "c", "e")
    wire.advance(1)
    for number in range(EVENTS):
        owner.core.owning.trigger("c", "e", b"%d" % number)
        owner.core.data_to_send(1000)
    assert owner.core.resumes is not None
    owner.core.resumes.acknowledge(owner.core.resumes.acknowledged + 1)
    wire.lose(owner)
    wire.come_back(owner)
    assert not owner.core.resumed  # the two do not agree, and say so
    with pytest.raises(AssertionError, match="the client heard"):
        check([value for _, value in listener.heard()], ["#connect", *range(EVENTS), "#disconnect"])


def test_a_sender_that_is_about_to_ask_for_its_name_is_not_taken_for_one_that_has_lost_it(
    server: sig.ServerRouter, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = Book()
    introduction = linked.introduction

    def after_a_loss(sender: Any) -> Any:
        proxy.cut()
        states.wait("connected")
        server.sender("c").wait(0.3)  # nobody else asks for it meanwhile
        return introduction(sender)

    with sig.connect(proxy.url, **OPTIONS) as client:
        client.on_state = states.add
        monkeypatch.setattr(linked, "introduction", after_a_loss)
        assert client.add_sender("c", "e").connected


def test_the_link_may_be_lost_again_and_again_idle_or_not(server: sig.ServerRouter, proxy: Proxy) -> None:
    book, states, gaps = Book(), Book(), Book()
    sender = server.add_sender("s", "e")
    with sig.connect(proxy.url, **OPTIONS) as client:
        client.on_state = states.add
        client.listen(book.hear, "s", "e", on_gap=gaps.gap)
        mine = client.add_sender("c", "e")
        server.listen(book.hear, "c", "e")
        for _ in range(5):
            proxy.cut()
            states.wait("connected")
            assert client.wait_connected(LIMIT_S)
            assert client.state == "connected"
            assert mine.connected
            states.story.clear()
        for number in range(10):
            sender.trigger("e", number)
            mine.trigger("e", -1 - number)
            proxy.cut()
            states.wait("connected")
            states.story.clear()
        book.wait(9)
        client.flush()
        book.wait(-10)
    assert [data for data in book.story if data in range(10)] == [*range(10)]
    assert [data for data in book.story if data not in range(10)] == [*range(-1, -11, -1)]
    assert gaps.story == []


@pytest.mark.parametrize("reliable", [True, False])
def test_a_link_that_is_lost_in_the_instant_in_which_it_is_up_comes_back(
    server: sig.ServerRouter, reliable: bool
) -> None:
    heard = Book()
    sender = server.add_sender("s", "e")
    faults = Hasty()
    with sig.connect(faults.upon(server.urls[0]), **{**OPTIONS, "reliable": reliable}) as client:
        client.listen(heard.hear, "s", "e")
        deadline = time.monotonic() + LIMIT_S
        while not heard.comes(1, 0.01):  # it may be away still, and then hears nothing of this
            assert client.wait_connected(LIMIT_S)
            sender.trigger("e", 1)
            assert time.monotonic() < deadline
    assert faults.opened == 2


def test_while_the_link_is_away_everything_waits_and_nothing_is_refused(server: sig.ServerRouter, proxy: Proxy) -> None:
    book, states, heard = Book(), Book(), Book()
    answers: list[object] = []
    sender = server.add_sender("s", ["e", "f"], {"double": lambda number: 2 * number})
    for event in ("e", "#connect", "#disconnect"):
        server.listen(book.hear, "c", event)
    with sig.connect(proxy.url, **OPTIONS) as client:
        client.on_state = states.add
        client.listen(heard.hear, "s", "e", on_gap=heard.gap)
        mine = client.add_sender("c", "e")
        proxy.cut_off()
        states.wait("away")
        assert (client.state, mine.connected) == ("away", True)
        mine.trigger("e", 1)
        sender.trigger("e", 1)
        asking = threading.Thread(target=lambda: answers.append(client.request("s", "double", 21)))
        asking.start()
        proxy.accept()
        states.wait("connected")
        client.flush()
        assert client.request("s", "double", 4) == 8
        client.listen(heard.hear, "s", "f")
        sender.trigger("f", "last")
        heard.wait("last")
        asking.join(LIMIT_S)
    assert (book.story, heard.story, answers) == (["#connect", 1, "#disconnect"], [1, "last"], [42])


def test_a_client_that_is_back_too_late_registers_again_and_is_told() -> None:
    states, heard = Book(), Book()
    with sig.serve("tcp://127.0.0.1:0", session_s=0.01) as hasty, Proxy(hasty.urls[0]) as proxy:
        sender = hasty.add_sender("s", "e", {"double": lambda number: 2 * number})
        present = Book()
        hasty.listen(present.hear, "c", "#disconnect")
        with sig.connect(proxy.url, **OPTIONS) as client:
            client.on_state = states.add
            client.listen(heard.hear, "s", "e", on_gap=heard.gap)
            mine = client.add_sender("c", "e", {"triple": lambda number: 3 * number})
            sender.trigger("e", 1)
            heard.wait(1)
            proxy.cut_off()
            present.wait("#disconnect")
            proxy.accept()
            states.wait("connected")
            assert client.wait_connected(LIMIT_S)
            assert (mine.connected, hasty.request("c", "triple", 7)) == (True, 21)
            sender.trigger("e", 2)
            heard.wait(2)
    assert heard.story == [1, sig.Gap(None, "lost_link"), 2]


def test_without_a_link_that_comes_back_none_can_be_reliable(server: sig.ServerRouter) -> None:
    with pytest.raises(sig.InvalidArgument, match="leave reconnect=False out"):
        sig.connect(server.urls[0], reliable=True, reconnect=False)


class Unanswered(Faults):
    """What the first two links are asked for a name, they never answer: they are cut when it has been asked for."""

    def _take(self) -> tuple[Way, Way]:
        ways = super()._take()
        return (Asking(Fault()), Welcome(Fault())) if self.opened <= 2 else ways


class Asking(Way):
    asked = False

    def pass_on(self, data: bytes | memoryview) -> list[bytes]:
        self.asked = self.asked or b'"name of a sender"' in bytes(data)
        return super().pass_on(data)

    @property
    def cut(self) -> bool:
        return self.asked


class Welcome(Way):
    """Only that passes."""

    _came = b""

    def pass_on(self, data: bytes | memoryview) -> list[bytes]:
        before = len(self._came)
        self._came += data
        head = len(PREFACE) + HEADER.size
        size = head + HEADER.unpack_from(self._came, len(PREFACE))[0] if len(self._came) >= head else head
        return super().pass_on(self._came[before:size])


@pytest.mark.timeout(3 * LIMIT_S)
def test_a_link_that_is_lost_while_a_name_is_asked_for_again_comes_back_at_once(server: sig.ServerRouter) -> None:
    """What was asked on it is answered on the next: who brings that must not wait for the answer."""
    faults = Unanswered()
    with sig.connect(faults.upon(server.urls[0]), **OPTIONS) as client:
        assert client.add_sender("name of a sender", "e").connected
        assert client.wait_connected(LIMIT_S)
    assert faults.opened == 3


def test_who_closes_while_the_link_is_away_is_done_at_once(server: sig.ServerRouter, proxy: Proxy) -> None:
    states = Book()
    client = sig.connect(proxy.url, **OPTIONS)
    client.on_state = states.add
    client.add_sender("c", "e")
    proxy.cut_off()
    states.wait("away")
    client.close()
    assert client.state == "closed"
    with pytest.raises(sig.Closed):
        client.flush()


def test_another_program_with_the_same_name_takes_it(server: sig.ServerRouter, proxy: Proxy) -> None:
    book, states, lost = Book(), Book(), Book()
    for event in ("e", "#connect", "#disconnect"):
        server.listen(book.hear, "c", event)
    with sig.connect(proxy.url, **OPTIONS) as client:
        client.on_state = states.add
        client.on_name_lost = lambda sender: lost.add(sender.name)
        client.add_sender("c", "e")
        proxy.cut_off()
        states.wait("away")
        with sig.connect(server.urls[0]) as other:
            other.add_sender("c", "e").trigger("e", "other")
            proxy.accept()
            lost.wait("c")
        book.wait("other")
    assert book.story[:4] == ["#connect", "#disconnect", "#connect", "other"]


def test_in_asyncio(server: sig.ServerRouter, proxy: Proxy) -> None:
    book, heard = Book(), Book()
    sender = server.add_sender("s", "e", {"double": lambda number: 2 * number})
    for event in ("e", "#connect", "#disconnect"):
        server.listen(book.hear, "c", event)

    async def main() -> None:
        connected = asyncio.Event()

        def told(state: str) -> None:
            if state == "connected":
                connected.set()

        async with sig.aio.connect(proxy.url, **OPTIONS) as client:
            client.on_state = told
            await client.listen(heard.hear, "s", "e", on_gap=heard.gap)
            mine = await client.add_sender("c", "e")
            for number in range(EVENTS):
                connected.clear()
                mine.trigger("e", number)
                sender.trigger("e", number)
                asking = asyncio.ensure_future(client.request("s", "double", number))
                await asyncio.sleep(0)
                proxy.cut()
                await connected.wait()
                assert await asking == 2 * number
            await client.flush()
            await asyncio.to_thread(heard.wait, EVENTS - 1)

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))
    book.wait("#disconnect")
    check(heard.story, book.story)
