"""Who holds which name, and who of several is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import sig
from sig.holders import Holders
from sig.sender import Owned

Make = Callable[..., Owned]


@pytest.fixture
def make() -> Make:
    router = sig.Router()
    numbers = iter(range(1, 10))

    def make(name: str = "s", shared: bool = True) -> Owned:
        sender = Owned(router, name)
        sender._shared, sender._incarnation = shared, next(numbers)
        return sender

    return make


def test_a_name_has_one_holder(make: Make) -> None:
    holders, sender = Holders(), make(shared=False)
    assert holders.join(sender)
    assert (holders.alike("s"), holders.alike("t"), holders.least("s")) == ([sender], [], sender)
    for shared in (True, False):
        with pytest.raises(sig.SenderAlreadyConnected):
            holders.join(make(shared=shared))
    assert holders.everybody() == [sender]
    assert holders.leave(sender)
    assert holders == {}
    assert holders.join(make())


def test_who_shares_a_name_shares_it_with_those_who_do(make: Make) -> None:
    holders, first, second, third = Holders(), make(), make(), make()
    other = make("t")
    assert [holders.join(sender) for sender in (first, second, other, third)] == [True, False, True, False]
    with pytest.raises(sig.SenderAlreadyConnected):
        holders.join(make(shared=False))
    assert holders.everybody() == [first, second, third, other]
    assert not holders.leave(first)
    assert (holders["s"], holders.alike("s")) == (second, [second, third])
    assert not holders.leave(third)
    assert holders.leave(second)
    assert holders.leave(other)
    assert (holders, holders._shared) == ({}, {})


def test_who_has_least_to_do_is_asked(make: Make) -> None:
    holders, first, second = Holders(), make(), make()
    for sender in (first, second):
        holders.join(sender)
    assert holders.least("s") is first
    first._streams[object()] = None
    assert holders.least("s") is second
    second._asked = 2
    assert holders.least("s") is first
    assert holders.least("s", second._incarnation) is second
    for name, instance in (("s", 0), ("t", None)):
        with pytest.raises(sig.SenderNotConnected):
            holders.least(name, instance)
