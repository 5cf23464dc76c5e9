"""How senders, clients and links come and go: everybody is told, nobody waits in vain, nothing is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sig
from sig.info import Received
from sig.testing.place import LIMIT_S, Held, Place
from sig.testing.stage import Stage, becomes, raises, same

_EVENTS = ["e", "f"]


def presence_tells_what_a_sender_offers(stage: Stage) -> None:
    """`#connect` and `#disconnect` say what a sender offers, the second why it left; they alternate."""
    places = [stage.serve(), stage.connect(), stage.other()]
    heard = [place.hear("s") for place in places]
    offers = {"events": _EVENTS, "requests": ["m", None]}
    for place in places:
        sender = place.add_sender("s", _EVENTS, {"m": len, None: lambda method, params: None})
        sender.trigger("e", 1)
        same(sender.remove(), True, "the sender was there")
        same(sender.remove(), False, "the sender was there once more")
    stage.settle()
    life = [("#connect", offers), ("e", 1), ("#disconnect", {**offers, "reason": "closed"})]
    for each in heard:
        same([(info.event, data) for info, data in each], life * len(places), "the lives that were heard")


def who_is_there_is_known_everywhere(stage: Stage) -> None:
    """`senders()` tells everywhere who is connected, in the order in which they came."""
    places = [stage.serve(), stage.connect(), stage.other()]
    held = [place.add_sender(f"s{number}", "e") for number, place in enumerate(places)]
    for place in places:
        same([row.name for row in place.senders()], ["s0", "s1", "s2"], "who is there")
    held[1].remove()
    same([row.name for row in places[0].senders()], ["s0", "s2"], "who is still there")


def a_name_is_held_once(stage: Stage) -> None:
    """Of those who claim a name at the same time one gets it, and the others are told; when he has left it is free."""
    server, client, other = stage.serve(), stage.connect(), stage.other()
    for _ in range(5):
        claims = [stage.aside(place.add_sender, "s", "e") for place in (client, other)]
        failed = [error for claim in claims if (error := claim.exception(LIMIT_S)) is not None]
        same([type(error) for error in failed], [sig.SenderAlreadyConnected], "what the claims raised")
        raises(sig.SenderAlreadyConnected, server.add_sender, "s", "e")
        [holder] = [claim.result() for claim in claims if claim.exception() is None]
        same((holder.connected, holder.remove()), (True, True), "the one who has it, has it")


def a_sender_that_has_left_triggers_no_more(stage: Stage) -> None:
    """A trigger after the sender has left raises `SenderNotConnected`; its name means the next one who takes it."""
    server, client = stage.serve(), stage.connect()
    heard = server.hear("s", "e")
    first = client.add_sender("s", "e")
    first.remove()
    raises(sig.SenderNotConnected, first.trigger, "e", 1)
    second = client.add_sender("s", "e")
    raises(sig.SenderNotConnected, first.trigger, "e", 2)
    second.trigger("e", 3)
    same(heard.wait().data, [3], "what was heard")


def what_was_triggered_before_the_end_arrives(stage: Stage) -> None:
    """The clean end of a `with` block loses nothing that was triggered in it, and tells that its senders have left."""
    server, client = stage.serve(), stage.connect()
    heard = server.hear("s")
    client.add_sender("s", "e").trigger("e", *range(1000))
    client.leave()
    found = heard.wait(1002)
    same(found.data[1:-1], list(range(1000)), "what was heard")
    same((found[-1].info.event, _reason(found[-1])), ("#disconnect", "closed"), "the end")


def what_has_arrived_is_told_before_the_end(stage: Stage) -> None:
    """`close` gives its listeners what had arrived."""
    server, client = stage.serve(), stage.connect()
    heard = client.hear("s", "e")
    server.add_sender("s", "e").trigger("e", *range(1000))
    server.flush()
    client.flush()  # behind all of them
    client.close()
    same(heard.data, list(range(1000)), "what was heard")


def close_is_idempotent_and_then_all_is_closed(stage: Stage) -> None:
    """`close` may be called again, by several at once; afterwards every verb says `Closed`, and the others go on."""
    server, client = stage.serve(), stage.connect()
    sender = client.add_sender("s", "e")
    for closing in [stage.aside(client.close) for _ in range(4)]:
        closing.result(LIMIT_S)
    same(client.wait(0), True, "it knows that it is closed")
    same(client.router.state, "closed", "its state")
    for verb in (client.senders, client.flush):
        raises(sig.Closed, verb)
    raises(sig.Closed, client.request, "s", "m")
    raises(sig.Closed, client.add_sender, "t", "e")
    raises((sig.Closed, sig.SenderNotConnected), sender.trigger, "e", 1)
    same(server.senders(), [], "who is left")


def close_wakes_whoever_waits(stage: Stage) -> None:
    """`close` ends every wait of its router: for an answer, and for the end."""
    server, client = stage.serve(), stage.connect()
    with _held(server) as (begun, _):
        asks = client.start_request("s", "hold")
        same(begun.wait(LIMIT_S), True, "the handler has begun")
        waits = stage.aside(client.wait, LIMIT_S)
        client.close()
        raises(sig.Closed, asks.result, LIMIT_S)
        same(waits.result(LIMIT_S), True, "what `wait` returns")


def a_server_that_closes_tells_its_clients(stage: Stage) -> None:
    """When the server closes, clients are `away`, waits end with `ConnectionLost`, and `on_disconnected` is called."""
    server, client = stage.serve(), stage.connect()
    gone = _gone(client)
    with _held(client) as (begun, _):
        asks = server.start_request("s", "hold")
        same(begun.wait(LIMIT_S), True, "the handler has begun")
        waits = stage.aside(client.wait, LIMIT_S)
        server.close()
        raises(sig.SigError, asks.result, LIMIT_S)
        raises(sig.ConnectionLost, waits.result, LIMIT_S)
        same(gone.wait(LIMIT_S), True, "on_disconnected was called")
        same(client.router.state, "away", "its state")
        raises(sig.ConnectionLost, client.senders)


def a_link_that_breaks_is_noticed_at_both_ends(stage: Stage) -> None:
    """When a link breaks, its client is told as if the server had closed; everybody else hears that its senders have
    left, as `lost`, and who waits for an answer of theirs gets `ConnectionLost`. The name is free again."""
    server, client = stage.serve(), stage.connect()
    heard = server.hear("s", "#disconnect")
    gone = _gone(client)
    with _held(client) as (begun, sender):
        asks = server.start_request("s", "hold")
        same(begun.wait(LIMIT_S), True, "the handler has begun")
        waits = stage.aside(client.wait, LIMIT_S)
        if not stage.breaks:
            return
        stage.cut()
        same(_reason(heard.wait()[0]), "lost", "why the sender has left")
        raises(sig.ConnectionLost, asks.result, LIMIT_S)
        raises(sig.ConnectionLost, waits.result, LIMIT_S)
        same(gone.wait(LIMIT_S), True, "on_disconnected was called")
        raises((sig.ConnectionLost, sig.SenderNotConnected), sender.trigger, "e", 1)
        server.add_sender("s", "e")


def a_link_that_breaks_under_load_is_the_only_one(stage: Stage) -> None:
    """A link that breaks while much is under way, both ways, ends for its client alone: the server goes on, and what
    was under way is told as lost."""
    server, client = stage.serve(), stage.connect()
    bulk = "x" * 20_000
    heard = server.hear("c", "e")
    client.hear("s", "e")
    over = threading.Event()
    sender = server.add_sender("s", "e", {"echo": lambda params: params})
    going = client.add_sender("c", "e")

    def send(which: Held) -> None:
        while not over.is_set():
            which.trigger("e", bulk)

    def ask() -> None:
        while not over.is_set():
            client.request("s", "echo", bulk)

    work = [stage.aside(send, going), stage.aside(ask)]
    stays = stage.aside(send, sender)
    heard.wait(10)
    if stage.breaks:
        stage.cut()
        for each in work:
            raises((sig.ConnectionLost, sig.SenderNotConnected), each.result, LIMIT_S)
    over.set()
    if stage.breaks:
        becomes(lambda: [row.name for row in server.senders()], ["s"], "who is left at the server")
    stays.result(LIMIT_S)
    same(set(heard.data), {bulk}, "what was heard before")
    if stage.may_connect:
        same(stage.connect().request("s", "echo", 1), 1, "the answer to the next client")


def close_works_from_inside_a_callback(stage: Stage) -> None:
    """A listener, or a handler, may close the router that calls it."""
    server, client = stage.serve(), stage.connect()
    closed = threading.Event()
    client.listen(client.closing(closed.set), "s", "e")
    server.add_sender("s", "e").trigger("e", 1)
    same(closed.wait(LIMIT_S), True, "close has returned in a listener")
    same(client.router.state, "closed", "its state")
    if stage.may_connect:
        other = stage.connect()
        closed.clear()
        other.add_sender("c", requests={"close": other.closing(closed.set)})
        raises(sig.SigError, server.request, "c", "close")
        same(closed.wait(LIMIT_S), True, "close has returned in a handler")


def clients_come_and_go(stage: Stage) -> None:
    """One client after the other may connect and close, and nothing of them is left at the server."""
    server = stage.serve()
    for number in range(5):
        if not stage.may_connect:
            break
        client = stage.connect()
        client.hear("s", "e")
        client.add_sender(f"s{number}", "e").trigger("e", number)
        client.leave()
    totals = server.stats().totals
    same((totals.senders, totals.subscriptions), (0, 0), "senders and subscriptions that are left")
    becomes(lambda: [link.address for link in server.stats().links], ["local"], "links that are left")


def _reason(received: Received) -> object:
    data = received.data
    return data.get("reason") if isinstance(data, dict) else data


def _gone(client: Place) -> threading.Event:
    """Set when the client's `on_disconnected` is called."""
    gone = threading.Event()
    client.router.on_disconnected = gone.set
    return gone


@contextmanager
def _held(owner: Place) -> Iterator[tuple[threading.Event, Held]]:
    """A sender "s" there whose handler "hold" does not return before the end of the block; set when it has begun."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(params: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)

    sender = owner.add_sender("s", "e", {"hold": hold})
    try:
        yield begun, sender
    finally:
        go_on.set()
