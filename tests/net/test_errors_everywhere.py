"""Each outcome of a request has its own class, sentence and fields, whatever lies between the two ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from net.outcomes import BUGS, HANDLERS, OUTCOMES, wrong, wrong_bug
from net.places import KINDS, place

import sig

_numbers = count()


@pytest.fixture(params=["in process", "the server itself", "mixed codecs", "local", *KINDS])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[sig.Router, sig.Router]]:
    """Who answers, and who asks."""
    with ExitStack() as stack:
        if request.param == "in process":
            router = stack.enter_context(sig.Router())
            yield router, router
            return
        if request.param in KINDS:
            where = stack.enter_context(place(request.param))
            server = stack.enter_context(sig.serve(where.url, **where.server))
            options = where.client
        else:
            url = f"local://errors-{next(_numbers)}" if request.param == "local" else "tcp://127.0.0.1:0"
            server, options = stack.enter_context(sig.serve(url)), {}
        if request.param == "the server itself":
            yield server, server
            return
        codec = "msgpack" if request.param == "mixed codecs" else "json"
        owner = stack.enter_context(sig.connect(server.urls[0], codec=codec, **options))
        yield owner, stack.enter_context(sig.connect(server.urls[0], **options))


def test_it_is_the_same(ends: tuple[sig.Router, sig.Router]) -> None:
    owner, asker = ends
    owner.add_sender("s", "e", HANDLERS)
    owner.add_sender("silent", "e")
    owner.add_sender("circle", requests={"round": lambda params: owner.request("circle", "round")})
    complaints: list[str] = []

    def outcome(verb: object) -> BaseException | None:
        assert callable(verb)
        try:
            verb(asker)
        except Exception as error:
            return error
        return None

    for name, expected in OUTCOMES.items():
        complaints += [f"{name}: {what}" for what in wrong(expected, outcome(expected.verb))]
    for name, (verb, own, text) in BUGS.items():
        complaints += [f"{name}: {what}" for what in wrong_bug(outcome(verb), own, text, type(owner) is not sig.Router)]
    assert not complaints
    assert asker.request("s", "echo", 1) == 1
