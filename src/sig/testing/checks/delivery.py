"""Events: who gets them, in which order, how often, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import sig
from sig.testing.place import Place
from sig.testing.stage import Stage, raises, same

_FRAME_BYTES: Final = 32 * 1024

# More levels than anybody writes by hand.
_DEEP: Final = json.loads("[" * 30 + "1" + "]" * 30)

# What every codec has.
_VALUES: Final[tuple[object, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    2**53,
    0.5,
    -1e300,
    "",
    " ",
    "é ⌘ 🌍 e\u0301 \u0000 \u2028 \ud7ff",
    'line\nline\ttab "quoted" \\',
    [],
    {},
    [None, [], {}, [[]]],
    {"": "", "a": {"b": [1, 2.5, None, {"c": "é"}]}},
    _DEEP,
    "x" * 10_000,
    list(range(1000)),
)


def events_of_a_sender_keep_their_order_and_come_once(stage: Stage) -> None:
    """The events of one sender reach each listener in the order of their triggers, each exactly once."""
    places = [stage.serve(), stage.connect(), stage.other()]
    senders = [place.add_sender(f"s{number}", "e") for number, place in enumerate(places)]
    heard = [place.hear(None, "e") for place in places]
    for start in range(0, 300, 100):
        for sender in senders:
            sender.trigger("e", *range(start, start + 100))
    stage.settle()
    for each in heard:
        for number in range(len(senders)):
            found = [received.data for received in each if received.info.sender == f"s{number}"]
            same(found, list(range(300)), f"what was heard of s{number}")


def subscriptions_mean_what_they_mean_in_one_process(stage: Stage) -> None:
    """Broadcasts, channels and patterns hear what they would in one process, in the same order."""
    server, client = stage.serve(), stage.connect()
    with sig.Router() as router:
        expected = _what_listeners_hear(router.listen, router.add_sender, lambda: None)
    for heard, sending in ((client, server), (server, client), (client, client)):
        same(_what_listeners_hear(heard.listen, sending.add_sender, stage.settle), expected, "what listeners heard")


def _what_listeners_hear(listen: Callable[..., Any], add_sender: Callable[..., Any], settle: Callable[[], None]) -> Any:
    log: list[object] = []

    def hears(number: int) -> Callable[[sig.Info, object], None]:
        return lambda info, data: log.append((number, info.sender, info.event, data))

    selectors = [
        ("lab/1", "e"),
        ("lab/1", None),
        (None, None),
        (None, "#alarm"),
        ("lab/*", "e"),
        ("**", "x/*"),
        ("lab/1", "*"),
        ("lab/1", "e"),
        ("lab/1", "#connect"),
        (None, "#disconnect"),
        ("hall", "e"),
    ]
    subscriptions = [listen(hears(number), *selector) for number, selector in enumerate(selectors)]
    for name in ("lab/1", "lab/2", "lab/2/deep"):
        sender = add_sender(name, ["e", "#alarm", "x/y"], {"m": len})
        for number, event in enumerate(("e", "#alarm", "x/y", "e")):
            sender.trigger(event, number)
        settle()
        sender.remove()
        settle()
    for subscription in subscriptions:
        subscription.close()
    return log


def values_arrive_as_they_were(stage: Stage) -> None:
    """Empty values, text of every kind, numbers, nesting: what is triggered is what is heard, and what is answered."""
    server, client = stage.serve(), stage.connect()
    heard = client.hear("s", "e")
    server.add_sender("s", "e", {"echo": lambda params: params}).trigger("e", *_VALUES)
    same(heard.wait(len(_VALUES)).data, list(_VALUES), "values that were heard")
    for value in (None, "", "é\u0000", _DEEP):
        same(client.request("s", "echo", value), value, "an answer")


def bytes_arrive_as_the_codec_has_them(stage: Stage) -> None:
    """`bytes` arrive as bytes, or as what stands for them in the codec; one that has neither refuses them."""
    server, client = stage.serve(), stage.connect()
    codec = server.router._codec
    heard = client.hear("s", "e")
    sender = server.add_sender("s", "e")
    expected: list[object] = []
    for value in (b"", bytes(range(256)), b"\x00" * 5000, b"\r\n\xff\xfe"):
        try:
            expected.append(codec.decode(codec.encode(value)))
        except sig.InvalidData:
            raises(sig.InvalidData, sender.trigger, "e", value)
        else:
            sender.trigger("e", value)
    same(heard.wait(len(expected)).data, expected, "bytes that were heard")


def everything_up_to_the_limit_arrives(stage: Stage) -> None:
    """Events and requests arrive up to the size limit; above it they are refused at the caller, and the link lives."""
    server = stage.serve(max_frame_bytes=_FRAME_BYTES)
    client = stage.connect(max_frame_bytes=_FRAME_BYTES)
    for here, there in ((server, client), (client, server)):
        heard = there.hear("s", "e")
        sender = here.add_sender("s", "e", {"len": len})
        *found, limit = _up_to_the_limit(sender.trigger, "e")
        sizes = [0, 1, 2, 63, 64, 65, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16384]
        sender.trigger("e", *["x" * size for size in sizes])
        raises(sig.MessageTooBig, sender.trigger, "e", "x" * (limit + 1))
        sender.trigger("e", "the link lives")
        expected = [*found, limit, *sizes, len("the link lives")]
        same([len(str(data)) for data in heard.wait(len(expected)).data], expected, "sizes that were heard")
        *_, limit = _up_to_the_limit(there.request, "s", "len")
        raises(sig.MessageTooBig, there.request, "s", "len", "x" * (limit + 1))
        same(there.request("s", "len", "x"), 1, "the answer after one that was refused")
        sender.remove()
        heard.close()


def _up_to_the_limit(attempt: Callable[..., object], *arguments: object) -> list[int]:
    """Sizes of a last argument that were not refused, up to the largest: framing and codec take a little."""
    accepted: list[int] = []
    low, high = _FRAME_BYTES - 1000, _FRAME_BYTES
    while low < high:
        size = (low + high) // 2
        try:
            attempt(*arguments, "x" * size)
            accepted.append(size)
            low = size + 1
        except sig.MessageTooBig:
            high = size
    if not accepted:
        raise AssertionError(f"of a limit of {_FRAME_BYTES} bytes a thousand are lost to framing, or more")
    return accepted


def whatever_is_triggered_after_listen_has_returned_arrives(stage: Stage) -> None:
    """When `listen` has returned the server knows: what anybody triggers from then on arrives."""
    stage.serve()
    listening, sending = stage.connect(), stage.other()
    sender = sending.add_sender("s", "e")
    for number in range(20):
        with listening.hear("s", "e") as heard:
            sender.trigger("e", number)
            same(heard.wait().data, [number], "what was heard")


def after_close_nothing_comes(stage: Stage) -> None:
    """No call begins after `close()` of a subscription has returned; the others go on."""
    server, client = stage.serve(), stage.connect()
    sender = server.add_sender("s", "e")
    closed, stays = client.hear("s", "e"), client.hear("s", "e")
    sender.trigger("e", 1)
    closed.wait()
    sender.trigger("e", *range(100))
    closed.close()
    found = len(closed)
    sender.trigger("e", *range(100))
    same(len(stays.wait(201)), 201, "events of the listener that stays")
    same(len(closed), found, "events of the one that was closed")


def a_listener_that_raises_hinders_nobody(stage: Stage) -> None:
    """What a listener raises is told to `on_error`; the others are called all the same, and the next event comes."""
    server, client = stage.serve(), stage.connect()

    def fail(info: sig.Info, data: object) -> None:
        raise ZeroDivisionError(data)

    client.listen(fail, "s", "e")
    heard = client.hear("s", "e")
    server.add_sender("s", "e").trigger("e", 1, 2)
    stage.settle()
    same(heard.data, [1, 2], "what the other heard")
    same([repr(error) for error in _taken(client)], ["ZeroDivisionError(1)", "ZeroDivisionError(2)"], "errors told")


def _taken(place: Place) -> list[BaseException]:
    """The errors that were expected, so that nobody else complains of them."""
    errors, place.errors[:] = list(place.errors), []
    return errors
