"""How routers with links begin and end: nothing that was accepted is lost, nothing of ours is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

import sig

LIMIT_S = 30
# Ways for a listener to be called beside the link: the options of each.
OWN_QUEUES: dict[str, Callable[[Executor], dict[str, Any]]] = {
    "queue": lambda _: {"queue": 1},
    "executor": lambda executor: {"executor": executor},
}


def program(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=LIMIT_S)


def test_a_script_of_five_lines_loses_nothing() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        got: list[object] = []
        server.listen(lambda info, data: got.append(data), "script", "e")
        done = program(
            "import sys, sig\n"
            "with sig.connect(sys.argv[1]) as client:\n"
            "    sender = client.add_sender('script', 'e')\n"
            "    for number in range(5000):\n"
            "        sender.trigger('e', number)\n",
            server.urls[0],
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        server.flush()
    assert got == list(range(5000))


def test_a_script_that_forgets_to_close_loses_nothing_either() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        got: list[object] = []
        server.listen(lambda info, data: got.append(data), "script", "e")
        done = program(
            "import sys, sig\n"
            "sender = sig.connect(sys.argv[1]).add_sender('script', 'e')\n"
            "for number in range(5000):\n"
            "    sender.trigger('e', number)\n",
            server.urls[0],
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        server.flush()
    assert got == list(range(5000))


def test_after_an_exception_the_with_block_only_logs() -> None:
    server = sig.serve("tcp://127.0.0.1:0")
    client = sig.connect(server.urls[0])

    def block() -> None:
        with client:
            client.add_sender("s", "e").trigger("e", 1)
            server.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert client.state == "closed"


def test_the_clean_end_says_what_was_not_delivered() -> None:
    server = sig.serve("tcp://127.0.0.1:0")
    client = sig.connect(server.urls[0])
    gone = threading.Event()
    client.on_disconnected = gone.set

    def block() -> None:
        with client:
            client.add_sender("s", "e").trigger("e", 1)
            server.close()
            assert gone.wait(LIMIT_S)

    with pytest.raises(sig.ConnectionLost, match="1 event"):
        block()


def test_when_the_server_goes_everybody_who_waits_is_told_at_once() -> None:
    server = sig.serve("tcp://127.0.0.1:0")
    hold = threading.Event()
    asked = threading.Event()

    def wait(params: object) -> None:
        asked.set()
        hold.wait(LIMIT_S)

    with sig.connect(server.urls[0], reconnect=False) as owner, sig.connect(server.urls[0], reconnect=False) as client:
        sender = owner.add_sender("s", "e", {"wait": wait})
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                client.request("s", "wait", timeout=LIMIT_S)
            except sig.SigError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(LIMIT_S)
        server.close()
        thread.join(LIMIT_S)
        assert [type(error) for error in errors] == [sig.ConnectionLost]
        assert "unknown" in str(errors[0])
        hold.set()
        assert client.state == "away"
        for verb in (client.senders, lambda: client.listen(print), lambda: client.request("s", "m"), client.flush):
            with pytest.raises(sig.ConnectionLost):
                verb()
        with pytest.raises(sig.ConnectionLost):
            client.wait(0)
        with pytest.raises((sig.ConnectionLost, sig.SenderNotConnected)):
            sender.trigger("e", 1)
        assert not sender.connected


def test_after_close_every_verb_says_closed() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        client = sig.connect(server.urls[0])
        sender = client.add_sender("s", "e")
        client.close()
        client.close()
        assert client.wait(0)
        for verb in (
            client.senders,
            lambda: client.listen(print),
            lambda: client.request("s", "m"),
            client.flush,
            lambda: client.add_sender("t", "e"),
            client.open,
        ):
            with pytest.raises(sig.Closed):
                verb()
        with pytest.raises((sig.Closed, sig.SenderNotConnected)):
            sender.trigger("e", 1)


@pytest.mark.parametrize("where", ["listener", "queue", "executor", "handler"])
def test_close_works_from_inside_a_callback(where: str) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, ThreadPoolExecutor(1) as executor:
        client = sig.connect(server.urls[0])
        closed = threading.Event()

        def close(*arguments: object) -> None:
            client.close(1_000)
            closed.set()

        if where != "handler":
            client.listen(close, "s", "e", **OWN_QUEUES.get(where, lambda _: {})(executor))
            server.add_sender("s", "e").trigger("e", 1)
        else:
            client.add_sender("s", requests={"m": lambda params: close()})
            with pytest.raises(sig.SigError):
                server.request("s", "m", timeout=5)
        assert closed.wait(LIMIT_S)
        assert client.state == "closed"


def test_close_from_many_threads_at_once_is_one_close() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        client = sig.connect(server.urls[0])
        failed: list[BaseException] = []

        def close() -> None:
            try:
                client.close()
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=close) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        assert failed == []


def test_what_has_arrived_is_told_before_the_end() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        client = sig.connect(server.urls[0])
        got: list[object] = []
        begun, go_on = threading.Event(), threading.Event()

        def slow(info: sig.Info, data: object) -> None:
            begun.set()
            go_on.wait(LIMIT_S)
            got.append(data)

        client.listen(slow, "s", "e")
        signal = server.add_sender("s", "e").signal("e")
        for number in range(100):
            signal.trigger(number)
        server.flush()
        client.flush()  # behind all of them
        assert begun.wait(LIMIT_S)
        threading.Timer(0.05, go_on.set).start()
        client.close()
        assert got == list(range(100))


@pytest.mark.parametrize("where", OWN_QUEUES)
def test_a_listener_with_a_queue_may_ask_until_it_returns(where: str) -> None:
    answers: list[object] = []
    begun, go_on = threading.Event(), threading.Event()
    with sig.serve("tcp://127.0.0.1:0") as server, ThreadPoolExecutor(1) as executor:
        server.add_sender("office", requests={"echo": lambda params: params})
        with sig.connect(server.urls[0]) as client:

            def ask(info: sig.Info, data: object) -> None:
                begun.set()
                go_on.wait(LIMIT_S)
                answers.append(client.request("office", "echo", data))

            client.listen(ask, "s", "e", **OWN_QUEUES[where](executor))
            server.add_sender("s", "e").trigger("e", 1)
            assert begun.wait(LIMIT_S)
            threading.Timer(0.05, go_on.set).start()
    assert answers == [1]


def test_a_listener_that_will_not_end_does_not_hold_up_close() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        client = sig.connect(server.urls[0])
        begun, go_on = threading.Event(), threading.Event()

        def stuck(info: sig.Info, data: object) -> None:
            begun.set()
            go_on.wait(LIMIT_S)

        client.listen(stuck, "s", "e")
        server.add_sender("s", "e").trigger("e", 1)
        assert begun.wait(LIMIT_S)
        client.close(0.1)
        assert client.state == "closed"
        go_on.set()


def test_a_forked_child_is_told_and_the_parent_goes_on() -> None:
    done = program(
        """
import os, sys, warnings, sig
warnings.simplefilter("ignore", DeprecationWarning)
with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client, sig.Router() as plain:
    sender = client.add_sender("s", "e")
    got = []
    plain.listen(lambda info, data: got.append(data), "p", "e")
    here = plain.add_sender("p", "e")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sender.trigger("e", 1)
        except sig.SigError as error:
            code = 2 if isinstance(error, sig.Closed) else 3
        try:
            client.request("s", "m")
        except sig.Closed:
            code += 10
        here.trigger("e", 5)
        os._exit(code if got == [5] else 99)
    _, status = os.waitpid(child, 0)
    client.listen(lambda info, data: sys.stdout.write(f"heard {data}\\n"), "s", "e")
    sender.trigger("e", 2)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\\n")
"""
    )
    assert done.stderr == ""
    assert sorted(done.stdout.split()) == ["12", "2", "heard"]


def test_the_interpreter_ends_with_live_routers() -> None:
    done = program(
        """
import sig
server = sig.serve("tcp://127.0.0.1:0")
clients = [sig.connect(server.urls[0]) for _ in range(3)]
sender = clients[0].add_sender("s", "e", {"m": lambda params: params})
clients[1].listen(lambda info, data: None, queue=10)
sender.trigger("e", 1)
print(clients[2].request("s", "m", 5))
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit(3)"])
def test_an_interrupt_in_a_listener_is_meant_for_the_program(kind: str) -> None:
    done = program(
        f"""
import sig, sys
with sig.serve("tcp://127.0.0.1:0") as server:
    def stop(info, data):
        raise {kind}
    server.listen(stop, "s", "e")
    sender = server.add_sender("s", "e")
    try:
        sender.trigger("e", 1)
        server.wait(20)
        server.wait(0.5)
        print("not interrupted")
    except KeyboardInterrupt:
        print("interrupted")
"""
    )
    assert done.stdout == "interrupted\n", done.stderr
    assert done.returncode == 0


def test_a_server_restarts_on_its_port_at_once() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        url = server.urls[0]
        with sig.connect(url) as client:
            client.senders()
    for _ in range(3):
        with sig.serve(url) as server, sig.connect(url) as client:
            assert client.senders() == []


def test_urls_tell_the_port_and_carriers_come_and_go() -> None:
    with sig.serve("tcp://127.0.0.1:0", "tcp://localhost:0") as server:
        first, second = server.urls
        assert first != second
        third = server.add_carrier("tcp://127.0.0.1:0")
        assert server.urls == [first, second, third]
        with sig.connect(third) as client:
            assert server.remove_carrier(third)
            assert not server.remove_carrier(third)
            assert client.senders() == []
        with pytest.raises(sig.ConnectFailed):
            sig.connect(third)
        with pytest.raises(sig.InvalidArgument):
            server.start()


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6 here")
def test_ipv6() -> None:
    try:
        server = sig.serve("tcp://[::1]:0")
    except sig.ConnectFailed:
        pytest.skip("no IPv6 loopback here")
    with server, sig.connect(server.urls[0]) as client:
        assert server.urls[0].startswith("tcp://[::1]:")
        assert client.senders() == []


def test_connecting_four_hundred_times_leaves_nothing() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        for _ in range(400):
            sig.connect(server.urls[0]).close()
        assert len(server.senders()) == 0
