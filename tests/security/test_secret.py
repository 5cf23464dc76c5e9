"""A secret is not seen."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from sig.security.secret import Secret

CANARY = "S3CR3T-canary"


@pytest.mark.parametrize(
    "show", [repr, str, format, "{}".format, "{!r:>40}".format, lambda s: f"{s}", lambda s: f"{s:>9}"]
)
def test_no_way_of_printing_shows_it(show: object) -> None:
    assert CANARY not in show(Secret(CANARY))  # type: ignore[operator]
    assert "Secret" in show(Secret(CANARY))  # type: ignore[operator]


def test_it_is_there_for_who_asks() -> None:
    assert Secret(CANARY).reveal() == Secret(CANARY.encode()).reveal() == CANARY.encode()


def test_it_equals_one_that_says_the_same() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY


@pytest.mark.parametrize("work", [pickle.dumps, copy.copy, copy.deepcopy, hash])
def test_it_cannot_be_copied_or_put_into_a_table(work: object) -> None:
    with pytest.raises(TypeError) as caught:
        work(Secret(CANARY))  # type: ignore[operator]
    assert CANARY not in "".join(traceback.format_exception(caught.value))
