"""The plugin, as pytest runs it for somebody else: one run of the file below."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
LIMIT_S = 60

PROGRAM = """
import sig

def careless(info, data):
    raise ZeroDivisionError(f"of {data}")

def test_router(sig_router):
    got = []
    sig_router.listen(lambda info, data: got.append(data), "s", "e")
    sig_router.add_sender("s", "e").trigger("e", 1)
    assert got == [1]

def test_pair(sig_pair):
    server, client = sig_pair
    server.add_sender("s", requests={"double": lambda params: 2 * params})
    assert client.request("s", "double", 4) == 8

def test_clock(sig_router, sig_clock):
    sig_clock.advance(5)
    sig_router.add_sender("s", "e")
    assert sig_router.senders()[0].since == sig_clock.wall()

def test_both(sig_router, sig_pair):
    assert sig_router not in sig_pair

def test_raises_here(sig_router):
    sig_router.listen(careless, "s", "e")
    sig_router.add_sender("s", "e").trigger("e", "cake")

def test_raises_there(sig_pair):
    server, client = sig_pair
    client.listen(careless, "s", "e")
    server.add_sender("s", "e").trigger("e", "pie")

def test_raise_several(sig_router):
    sig_router.listen(careless, "s", "e")
    sig_router.listen(careless, "s", "e", queue=5)
    sig_router.add_sender("s", "e").trigger("e", "tart")

def test_fails_itself(sig_router):
    sig_router.listen(careless, "s", "e")
    sig_router.add_sender("s", "e").trigger("e", "bun")
    assert not "eaten"

def test_expects_it(sig_router):
    seen = []
    sig_router.on_error = seen.append
    sig_router.listen(careless, "s", "e")
    sig_router.add_sender("s", "e").trigger("e", 1)
    assert isinstance(seen[0].error, ZeroDivisionError)

def test_raises_at_the_end(sig_router):
    sig_router.listen(careless, "s", "#disconnect")
    sig_router.add_sender("s", "e")

def test_closes_the_server(sig_pair, sig_router):
    server, client = sig_pair
    client.add_sender("s", "e").trigger("e", 1)
    server.close()
    sig_router.close()

def test_closes_the_client(sig_pair):
    server, client = sig_pair
    client.close()

forgotten = []

def test_leaves_a_thread(sig_router):
    forgotten.append(sig.serve("local://forgotten"))

def test_without_a_fixture():
    pass

def teardown_module():
    for router in forgotten:
        router.close()
"""


def pytest_says(*arguments: object) -> str:
    # Only this plugin: others need not be there, and would say more.
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "sig.testing.plugin", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("plugin") / "test_it.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return pytest_says("-v", file)


def outcomes(output: str, name: str) -> list[str]:
    """What is said of a test while they run: of its body, and of its end."""
    return re.findall(rf"::{name} (\w+)", output.partition("= ERRORS =")[0])


def report(output: str, name: str) -> str:
    """What is told of one that has failed, or whose end has."""
    return re.split(r"\n_{3,} ", output.partition(f" {name} __")[2])[0]


@pytest.mark.parametrize(
    "name", ["test_router", "test_pair", "test_clock", "test_both", "test_without_a_fixture", "test_expects_it"]
)
def test_fixtures_are_what_they_say(output: str, name: str) -> None:
    assert outcomes(output, name) == ["PASSED"]


@pytest.mark.parametrize(("name", "what"), [("test_raises_here", "cake"), ("test_raises_there", "pie")])
def test_a_listener_that_raises_fails_the_test_with_its_traceback(output: str, name: str, what: str) -> None:
    assert outcomes(output, name) == ["FAILED"]
    assert 'raise ZeroDivisionError(f"of {data}")' in report(output, name)
    assert f"ZeroDivisionError: of {what}" in report(output, name)


def test_of_several_each_is_told(output: str) -> None:
    assert outcomes(output, "test_raise_several") == ["FAILED"]
    assert "listeners raised (2 sub-exceptions)" in report(output, "test_raise_several")
    assert report(output, "test_raise_several").count("ZeroDivisionError: of tart") >= 2


def test_one_that_fails_by_itself_is_told_of_listeners_too(output: str) -> None:
    assert outcomes(output, "test_fails_itself") == ["FAILED"]
    told = report(output, "test_fails_itself")
    assert "assert not 'eaten'" in told
    assert "A listener raised, too:" in told
    assert "ZeroDivisionError: of bun" in told


def test_a_listener_that_raises_at_the_very_end_is_told(output: str) -> None:
    assert outcomes(output, "test_raises_at_the_end") == ["PASSED", "ERROR"]
    assert "ZeroDivisionError: of " in report(output, "ERROR at teardown of test_raises_at_the_end")


@pytest.mark.parametrize("name", ["test_closes_the_server", "test_closes_the_client"])
def test_routers_that_the_test_has_closed_are_no_trouble(output: str, name: str) -> None:
    assert outcomes(output, name) == ["PASSED"]


def test_threads_that_are_left_behind_are_told(output: str) -> None:
    assert outcomes(output, "test_leaves_a_thread") == ["PASSED", "ERROR"]
    told = report(output, "ERROR at teardown of test_leaves_a_thread")
    assert "threads are left behind, of routers that were not closed: sig-dispatch, sig-server" in told


def test_each_fixture_tells_what_it_is(tmp_path: Path) -> None:
    told = pytest_says("--fixtures", tmp_path)
    for name in ("sig_router", "sig_pair", "sig_clock"):
        assert re.search(rf"^{name} .*\n    \w", told, re.MULTILINE), told
