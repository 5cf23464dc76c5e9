"""After a fork: routers with links are the parent's, the child is told so and holds nothing of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

LIMIT_S = 30

# In the child: `tell` prints what a call raises.
PRELUDE = """
import os, sys, threading, warnings
import sig

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, in later Pythons

def tell(call):
    try:
        print(call())
    except BaseException as error:
        print(type(error).__name__, "forked" if "process that forked" in str(error) else error)

def sockets():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if target.startswith(("socket:", "anon_inode:")):
            found.add(target)
    return found
"""


def run(program: str) -> list[str]:
    """What it prints; with a time limit, and nothing on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program)], capture_output=True, text=True, timeout=LIMIT_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_verb_of_the_child_says_closed() -> None:
    assert run("""
        server = sig.serve("tcp://127.0.0.1:0")
        client = sig.connect(server.urls[0])
        sender = client.add_sender("s", "e", {"m": lambda params: params})
        own = server.add_sender("own", "e")
        child = os.fork()
        if not child:
            for router in (client, server):
                for verb in (
                    router.senders, router.flush, router.wait, lambda: router.listen(print),
                    lambda: router.request("s", "m"), lambda: router.add_sender("t", "e"),
                ):
                    tell(verb)
            tell(lambda: sender.trigger("e", 1))
            tell(lambda: own.trigger("e", 1))
            tell(client.close)
            tell(server.close)
            print(client.state)
            sys.stdout.flush()
            sys.exit(0)  # the whole way, as a program ends
        assert os.waitpid(child, 0)[1] == 0
        client.close()
        server.close()
    """) == ["Closed forked"] * 14 + ["None", "None", "closed"]


def test_a_trigger_that_nobody_heard_says_closed_in_the_child_too() -> None:
    assert (
        run("""
        with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
            sender = client.add_sender("s", "e")
            cached = sender.signal("e").trigger
            sender.trigger("e", 1)
            client.flush()
            client.senders()  # by now it has been told that nobody listens
            child = os.fork()
            if not child:
                tell(lambda: cached(2))
                tell(lambda: sender.trigger("e", 2))
                sys.stdout.flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    """)
        == ["Closed forked"] * 2
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_the_child_holds_no_socket_of_the_parent() -> None:
    assert run("""
        before = sockets()
        server = sig.serve("tcp://127.0.0.1:0")
        client = sig.connect(server.urls[0])
        made = sockets() - before
        assert len(made) > 5
        child = os.fork()
        if not child:
            print(made & sockets(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        client.close()
        server.close()
    """) == ["set()"]


def test_the_parent_goes_on_and_its_port_is_free_when_it_closes() -> None:
    assert run("""
        server = sig.serve("tcp://127.0.0.1:0")
        client = sig.connect(server.urls[0])
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)  # lives on, until the parent has finished
            os._exit(0)
        heard = threading.Event()
        client.listen(lambda info, data: heard.set(), "s", "e")
        server.add_sender("s", "e").trigger("e", 1)
        print(heard.wait(20))
        gone = threading.Event()
        client.on_disconnected = gone.set
        server.close()
        print(gone.wait(20))  # the child does not hold the link open
        client.close()
        with sig.serve(server.urls[0]) as again:
            print(again.urls == server.urls)
        os.write(write, b".")
        os.waitpid(child, 0)
    """) == ["True", "True", "True"]


def test_the_child_connects_anew() -> None:
    assert run("""
        server = sig.serve("tcp://127.0.0.1:0")
        client = sig.connect(server.urls[0])
        heard = threading.Event()
        server.listen(lambda info, data: heard.set(), "child", "e")
        child = os.fork()
        if not child:
            with sig.connect(server.urls[0]) as mine:
                mine.add_sender("child", "e").trigger("e", 1)
            with sig.serve("tcp://127.0.0.1:0") as too:
                print(too.senders(), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(heard.wait(20))
        client.close()
        server.close()
    """) == ["[]", "True"]


def test_it_may_happen_while_another_thread_holds_every_lock() -> None:
    assert run("""
        server = sig.serve("tcp://127.0.0.1:0")
        client = sig.connect(server.urls[0])
        sender = client.add_sender("s", "e")
        hold, held = threading.Event(), threading.Event()

        def keep():
            with client._lock, client._driver._lock, client._driver._dispatcher._changed:
                held.set()
                hold.wait(20)

        thread = threading.Thread(target=keep)
        thread.start()
        held.wait(20)
        child = os.fork()
        if not child:
            tell(lambda: sender.trigger("e", 1))
            tell(client.senders)
            tell(client.close)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        hold.set()
        thread.join()
        client.close()
        server.close()
    """) == ["Closed forked", "Closed forked", "None"]
