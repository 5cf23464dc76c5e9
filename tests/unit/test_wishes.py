"""What a client asks its server for."""

from __future__ import annotations

import msgspec

import sig
from sig.messages import AddSender, Listen, Schema
from sig.pace import Pace
from sig.subscription import Subscription
from sig.wishes import introduction, number_of, wish


def listener(router: sig.Router, **options: object) -> Subscription:
    subscription = router.listen(lambda info, data: None, "s", "e", **options)  # type: ignore[call-overload]
    assert isinstance(subscription, Subscription)
    return subscription


def test_numbers_begin_again_after_four_billion_listeners(router: sig.Router) -> None:
    subscription = listener(router)
    subscription.serial = 2**32 + 7
    assert number_of(subscription) == 7


def test_who_is_sent_all_says_what_it_listens_to(router: sig.Router) -> None:
    subscription = listener(router, initial=True)
    assert wish(subscription) == Listen(number_of(subscription), "s", "e", True)


def test_who_says_how_much_it_can_take_has_a_window(router: sig.Router) -> None:
    member = listener(router, group="g")
    member.pace = Pace(4, lambda events: None)
    assert wish(member) == Listen(number_of(member), "s", "e", group="g", window=4)
    slow = listener(router, when_full="block", max_wait=2.5)
    slow.pace = Pace(8, lambda events: None)
    assert wish(slow) == Listen(number_of(slow), "s", "e", max_wait_s=2.5, window=8)


def test_a_sender_says_what_it_offers_and_what_of_it_never_came(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e", "f"], [abs], retain="f", shared=True)
    offered = AddSender("s", ["e", "f"], ["abs"], None, ["f"], True)
    assert introduction(sender) == offered
    assert introduction(sender, {"e": 2}) == msgspec.structs.replace(offered, lost={"e": 2})


def test_the_types_of_a_sender_go_as_schemas(router: sig.Router) -> None:
    def half(number: int) -> float:
        return number / 2

    schema = introduction(router.add_sender("s", {"e": int}, [half])).schema
    assert isinstance(schema, Schema)
    assert {name: msgspec.json.decode(raw) for name, raw in schema.events.items()} == {"e": {"type": "integer"}}
    requests = {name: msgspec.json.decode(raw) for name, raw in schema.requests.items()}
    assert requests == {"half": {"params": {"type": "integer"}, "result": {"type": "number"}}}
