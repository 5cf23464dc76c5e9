"""Handlers behind a link: a bounded number of threads, every request answered, whatever the handler does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from net.aside import aside
from net.raw import LIMIT_S

import sig


class Meeting:
    """A handler in which many are at the same time, until the test lets them go."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self._changed = threading.Condition()
        self._open = False

    def __call__(self, params: object) -> object:
        with self._changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open, LIMIT_S)
            self.inside -= 1
        return params

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.inside == number, LIMIT_S)

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()


@pytest.mark.parametrize("workers", [1, 8])
def test_as_many_run_at_once_as_there_are_workers(workers: int) -> None:
    meeting = Meeting()
    with sig.serve("tcp://127.0.0.1:0", request_workers=workers) as server, sig.connect(server.urls[0]) as caller:
        server.add_sender("s", requests={"meet": meeting})
        asking = [aside(lambda n=n: caller.request("s", "meet", n)) for n in range(20)]  # type: ignore[misc]
        meeting.wait_for(workers)
        meeting.open()
        assert [one.result(LIMIT_S) for one in asking] == list(range(20))
    assert meeting.most == workers


def test_beyond_256_the_next_is_refused_and_nobody_else(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    meeting = Meeting()
    server.add_sender("s", requests={"meet": meeting, "quick": lambda params: params})
    other = server.add_sender("other", requests={"quick": lambda params: params})
    # In this order they arrive: from several threads, one that is not refused would wait for those that are.
    asking = [caller.start_request("s", "meet", number, timeout=LIMIT_S) for number in range(256)]
    for sender in ("s", "other"):
        with pytest.raises(sig.Overloaded, match="256 requests"):
            caller.request(sender, "quick", 1)
    meeting.open()
    assert [one.result(LIMIT_S) for one in asking] == list(range(256))
    assert caller.request("s", "quick", 2) == 2  # every place has been given back
    assert other.connected


def test_requests_that_lead_to_each_other_never_wait_for_threads_that_wait_for_them() -> None:
    with sig.serve("tcp://127.0.0.1:0", request_workers=1) as server, sig.connect(server.urls[0]) as caller:

        def down(depth: int) -> int:
            return depth and 1 + int(server.request("s", "down", depth - 1))

        server.add_sender("s", requests={"down": down})
        # Several at once: each needs all of its threads at the same time.
        asking = [aside(lambda: caller.request("s", "down", 12, timeout=LIMIT_S)) for _ in range(4)]
        assert [one.result(LIMIT_S) for one in asking] == [12] * 4


def test_a_listener_with_a_queue_may_ask_for_what_the_same_router_answers(server: sig.ServerRouter) -> None:
    """Queues and handlers do not share their threads."""
    answers: list[object] = []
    done = threading.Semaphore(0)
    sender = server.add_sender("s", "e", {"m": lambda params: params})

    def ask(info: sig.Info, data: object) -> None:
        answers.append(server.request("s", "m", data))
        done.release()

    for _ in range(12):
        server.listen(ask, "s", "e", queue=5)
    sender.trigger("e", 1)
    for _ in range(12):
        assert done.acquire(timeout=LIMIT_S)
    assert answers == [1] * 12


def test_an_executor_of_the_users_runs_them() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool, sig.serve(executor=pool) as server:
        server.add_sender("s", requests={"where": lambda params: threading.current_thread().name})
        assert server.request("s", "where").startswith("mine")


def test_or_a_function_that_posts() -> None:
    posted: list[Callable[[], object]] = []
    came = threading.Event()

    def post(work: Callable[[], object]) -> None:
        posted.append(work)
        came.set()

    with sig.serve(executor=post) as server:
        server.add_sender("s", requests={"m": lambda params: params})
        asking = aside(lambda: server.request("s", "m", 5))
        assert came.wait(LIMIT_S)
        posted.pop()()  # here, on the thread of the test
        assert asking.result(LIMIT_S) == 5


def test_an_executor_that_has_ended_is_told_to_who_asks(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    pool = ThreadPoolExecutor(1)
    with sig.connect(server.urls[0], executor=pool) as owner:
        owner.add_sender("s", requests={"m": lambda params: params})
        assert caller.request("s", "m", 1) == 1
        pool.shutdown()
        for _ in range(300):  # and costs no place
            with pytest.raises(sig.Overloaded, match="cannot be run: cannot schedule new futures"):
                caller.request("s", "m", 1)
        assert owner.state == "connected"


def test_without_a_thread_to_be_had_the_request_is_refused(
    server: sig.ServerRouter, caller: sig.ClientRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_sender("s", requests={"m": lambda params: params})
    start = threading.Thread.start

    def no_more(self: threading.Thread) -> None:
        if self.name == "sig-handler":
            raise RuntimeError("can't start new thread")
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(sig.Overloaded, match="can't start new thread"):
            caller.request("s", "m", 1)
    assert caller.request("s", "m", 1) == 1


def test_what_a_handler_raises_is_logged_where_it_happened_and_told_without_its_traceback(
    server: sig.ServerRouter, caller: sig.ClientRouter, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    def fail(params: object) -> None:
        raise KeyError("oven") if params is None else Odd

    server.add_sender("s", requests={"fail": fail, "odd": lambda params: object()})
    with pytest.raises(sig.RemoteError) as caught:
        caller.request("s", "fail")
    assert (caught.value.type, caught.value.args[0], caught.value.traceback) == ("KeyError", "'oven'", None)
    assert "handler 'fail' of 's' failed: KeyError: 'oven'" in caplog.text
    assert f"at {__file__}, line" in caplog.text
    with pytest.raises(sig.RemoteError, match="Odd"):
        caller.request("s", "fail", 1)
    with pytest.raises(sig.InvalidData, match="JSON cannot carry this object"):
        caller.request("s", "odd")
    assert "the answer of handler 'odd' of 's' cannot be sent" in caplog.text


def test_an_answer_that_is_too_big_is_told_to_who_asks(caller: sig.ClientRouter, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"much": lambda params: "x" * params})
    assert len(caller.request("s", "much", 16_000_000)) == 16_000_000
    with pytest.raises(sig.SigError, match="larger|limit"):
        caller.request("s", "much", 17_000_000)
    assert caller.request("s", "much", 1) == "x"


def test_a_sender_that_leaves_meanwhile_ends_its_requests(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    meeting = Meeting()
    sender = server.add_sender("s", requests={"meet": meeting})
    asking = aside(lambda: caller.request("s", "meet"))
    meeting.wait_for(1)
    sender.remove()
    with pytest.raises(sig.ConnectionLost, match="'s' left \\(closed\\)"):
        asking.result(LIMIT_S)
    meeting.open()
    with pytest.raises(sig.SenderNotConnected):
        caller.request("s", "meet")


def test_one_asked_in_the_moment_in_which_its_sender_leaves_is_told_so(server: sig.ServerRouter) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(work: Callable[[], object]) -> None:
        def later() -> None:
            entered.set()
            go_on.wait(LIMIT_S)
            work()

        aside(later)

    with sig.connect(server.urls[0], executor=hold) as owner:
        sender = owner.add_sender("s", requests={"m": lambda params: params})
        asking = aside(lambda: server.request("s", "m"))
        assert entered.wait(LIMIT_S)
        sender.remove()
        with pytest.raises(sig.ConnectionLost):
            asking.result(LIMIT_S)
        go_on.set()


def test_the_handlers_may_be_replaced(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    sender = server.add_sender("s", requests={"m": lambda params: "before"})
    assert caller.request("s", "m") == "before"
    sender.set_requests({"m": lambda params: "after"})
    assert caller.request("s", "m") == "after"


def test_async_handlers_end_with_the_time_of_their_request(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def wait(params: object) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        server.add_sender("s", requests={"wait": wait})
        with pytest.raises(sig.RequestTimeout):
            await asyncio.to_thread(caller.request, "s", "wait", timeout=0.05)
        await asyncio.wait_for(cancelled.wait(), LIMIT_S)

    asyncio.run(main())


def test_waiting_on_the_loop_that_would_have_to_answer_is_refused(server: sig.ServerRouter) -> None:
    async def main() -> None:
        async def answer(params: object) -> object:
            return params

        server.add_sender("s", requests={"answer": answer, "plain": lambda params: params})
        with pytest.raises(sig.WouldDeadlock, match="make it from another thread"):
            server.request("s", "answer", timeout=5)
        assert server.request("s", "plain", 1, timeout=5) == 1
        assert await asyncio.to_thread(server.request, "s", "answer", 2) == 2

    asyncio.run(main())


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "SystemExit(3)"])
def test_an_interrupt_in_a_handler_is_meant_for_the_program_and_told_to_who_asks(raised: str) -> None:
    program = f"""
import sys, threading, sig
def stop(params):
    raise {raised}
with sig.serve("tcp://127.0.0.1:0") as server:
    server.add_sender("s", requests={{"stop": stop}})
    print(server.urls[0], flush=True)
    try:
        server.wait(60)
        threading.Event().wait(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with sig.connect(process.stdout.readline().strip()) as client:
            with pytest.raises((sig.RemoteError, sig.ConnectionLost)):
                client.request("s", "stop", timeout=LIMIT_S)
            assert process.stdout.read() == "interrupted\n"
    assert process.returncode == 0


def test_a_handler_that_will_not_end_is_named(server: sig.ServerRouter, caplog: pytest.LogCaptureFixture) -> None:
    meeting, extra = Meeting(), Meeting()
    owner = sig.connect(server.urls[0], request_workers=1)
    owner.add_sender("s", requests={"outer": lambda params: owner.request("s", "inner"), "inner": extra})
    owner.add_sender("t", requests={"meet": meeting})
    asking = aside(lambda: server.request("s", "outer"))
    extra.wait_for(1)
    owner.close(0.05)
    with pytest.raises(sig.SigError):
        asking.result(LIMIT_S)
    assert "handler 'inner' of 's' has not ended within" in caplog.text
    extra.open()
