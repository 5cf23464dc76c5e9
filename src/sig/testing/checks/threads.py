"""Many threads at once, and processes that part."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Final

import sig
from sig.testing.place import LIMIT_S
from sig.testing.stage import Stage, blocking_only, same

_CHILD_S: Final = 10


def many_threads_trigger_and_ask(stage: Stage) -> None:
    """Threads may share a router: the events of each thread keep their order, and each gets its own answers."""
    server, client = stage.serve(), stage.connect()
    heard = server.hear("s", "e")
    sender = client.add_sender("s", "e", {"echo": lambda params: params})
    server.add_sender("t", requests={"echo": lambda params: params})
    start = threading.Barrier(8)

    def trigger(thread: int) -> None:
        start.wait(LIMIT_S)
        for number in range(100):
            sender.trigger("e", [thread, number])

    def ask(thread: int) -> None:
        start.wait(LIMIT_S)
        place, owner = ((client, "t"), (server, "s"))[thread % 2]
        for number in range(25):
            same(place.request(owner, "echo", [thread, number]), [thread, number], "the answer")

    work = [stage.aside(task, thread) for thread in range(4) for task in (trigger, ask)]
    for each in work:
        each.result(2 * LIMIT_S)
    found = heard.wait(400).data
    for thread in range(4):
        numbers = [data[1] for data in found if isinstance(data, list) and data[0] == thread]
        same(numbers, list(range(100)), f"what was heard of thread {thread}")


def listeners_come_and_go_while_events_pass(stage: Stage) -> None:
    """Whoever registers or leaves while events pass costs the others none, and hears a piece without a hole himself."""
    server, client = stage.serve(), stage.connect()
    sender = server.add_sender("s", "e")
    stays = client.hear("s", "e")
    over = threading.Event()

    def trigger() -> int:
        number = 0
        while not over.is_set():
            sender.trigger("e", *range(number, number + 10))
            number += 10
            stays.wait(number - 100)  # nobody is to lose anything
        return number

    triggering = stage.aside(trigger)
    pieces = []
    for _ in range(15):
        with client.hear("s", "e") as heard:
            heard.wait(1)
        pieces.append([int(str(data)) for data in heard.data])
    over.set()
    count = triggering.result(LIMIT_S)
    same(stays.wait(count).data, list(range(count)), "what the one who stays has heard")
    for piece in pieces:
        same(piece, list(range(piece[0], piece[0] + len(piece))), "a piece that was heard")


@blocking_only
def a_forked_child_is_told_and_the_parent_goes_on(stage: Stage) -> None:
    """In the child of a fork a router with a link says `Closed`; the parent's link does not notice."""
    if not hasattr(os, "fork"):
        return
    server, client = stage.serve(), stage.connect()
    sender = client.add_sender("s", "e", {"echo": lambda params: params})
    heard = server.hear("s", "e")
    sender.trigger("e", 1)
    heard.wait()
    attempts: list[Callable[[], object]] = [
        lambda: sender.trigger("e", 2),
        client.senders,
        lambda: client.request("s", "echo", 1),
        lambda: client.listen(print),
        server.senders,
    ]
    same(_in_a_child(attempts), [True] * len(attempts), "verbs that say Closed in the child")
    sender.trigger("e", 3)
    same(heard.wait(2).data, [1, 3], "what was heard")
    same(server.request("s", "echo", 5), 5, "the answer of the parent")


def _in_a_child(attempts: list[Callable[[], object]]) -> list[bool]:
    """Which of these raise `Closed` in a forked child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, that there are: that is what is tried
        child = os.fork()
    if not child:
        code = 0xFF
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_CHILD_S)  # it must not outlive a check that fails
            code = sum(_says_closed(attempt) << place for place, attempt in enumerate(attempts))
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return [code >= 0 and bool(code >> place & 1) for place in range(len(attempts))]


def _says_closed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except sig.Closed:
        return True
    except BaseException:
        return False
    return False
