"""What a handler is told of a request that came over a link."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

import sig

LIMIT_S = 20


def end(asker: sig.ClientRouter, call: sig.Call) -> None:
    asker.close()


def cancel(asker: sig.ClientRouter, call: sig.Call) -> None:
    assert call.cancel()


@pytest.mark.parametrize("give_up", [end, cancel], ids=lambda function: function.__name__)
def test_a_handler_sees_who_asks_and_that_nobody_waits_any_more(
    give_up: Callable[[sig.ClientRouter, sig.Call], None],
) -> None:
    begun: Future[sig.Request] = Future()
    ended: Future[BaseException] = Future()

    def work(params: object) -> None:
        begun.set_result(sig.current_request())
        pause = threading.Event()
        try:
            while not pause.wait(0.005):
                sig.current_request().check()
        except sig.RequestCancelled as error:
            ended.set_result(error)
            raise

    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as owner:
        owner.add_sender("s", requests=[work])
        before = {link.client for link in server.stats().links}
        with sig.connect(server.urls[0]) as asker:
            (number,) = {link.client for link in server.stats().links} - before
            call = asker.start_request("s", "work", timeout=300)
            request = begun.result(LIMIT_S)
            assert request.requester == number
            assert 300 - LIMIT_S < request.remaining <= 300
            assert not request.cancelled
            give_up(asker, call)
            assert isinstance(ended.result(LIMIT_S), sig.RequestCancelled)
            assert request.cancelled
