"""The checks that hold for every test, on tests that leave something behind and on some that do not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SUITE = """
import asyncio, logging, socket, threading
import pytest

kept = []
released = threading.Event()

def thread(name, daemon):
    threading.Thread(target=released.wait, args=(30,), name=name, daemon=daemon).start()

def test_leaks_a_thread():
    thread("user", daemon=False)

def test_leaks_a_daemon_of_ours():
    thread("sig-reader", daemon=True)

def test_leaks_a_descriptor():
    kept.append(socket.socketpair())

@pytest.mark.asyncio
async def test_leaks_a_task():
    kept.append(asyncio.create_task(asyncio.sleep(30), name="forgotten"))

def test_leaks_an_error_of_asyncio():
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "nobody asked"})
    loop.close()

def test_logs_a_secret():
    logging.getLogger("sig").warning("refused: %s", "S3CR3T")

def test_logs_a_token():
    try:
        raise LookupError("sig1-0123456789abcdef-" + 43 * "a")
    except LookupError:
        logging.getLogger("sig.child").exception("failed")

def test_fine_with_the_name_of_a_token():
    logging.getLogger("sig").warning("refused: 0123456789abcdef, S3CR")

def test_fine_with_a_foreign_daemon():
    thread("pool", daemon=True)

def test_fine_with_what_ends_soon():
    end = threading.Timer(0.02, lambda: None)
    end.name = "sig-soon"
    end.start()

@pytest.mark.asyncio
async def test_fine_with_a_task_that_ends_soon():
    kept.append(asyncio.create_task(asyncio.sleep(0.02)))

def test_zz_release():
    released.set()
    for pair in filter(lambda one: isinstance(one, tuple), kept):
        for end in pair:
            end.close()
"""

EXPECTED = {
    "test_leaks_a_thread": "left behind: thread user",
    "test_leaks_a_daemon_of_ours": "left behind: thread sig-reader",
    "test_leaks_a_descriptor": r"left behind: descriptor \d+ -> socket:\[\d+\]; descriptor",
    "test_leaks_a_task": "left behind: <Task pending name='forgotten'",
    "test_leaks_an_error_of_asyncio": "left behind: asyncio: nobody asked",
    "test_logs_a_secret": r"a secret was logged: sig, test_suite.py:\d+$",
    "test_logs_a_token": r"a secret was logged: sig.child, test_suite.py:\d+$",
}


def test_what_is_left_behind_fails_the_test_and_is_named(tmp_path: Path) -> None:
    # Long enough for what ends soon, short for what never does.
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text("utf-8") + "\nGRACE_S = 0.5\n", "utf-8")
    shutil.copy(CONFTEST.with_name("canary.py"), tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = strict\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    reports = re.findall(r"^_+ ERROR at teardown of (\w+) _+\n(.*)$", done.stdout, re.MULTILINE)
    assert [name for name, _ in reports] == list(EXPECTED), done.stdout
    for name, text in reports:
        assert re.match(EXPECTED[name], text)
    assert "12 passed, 7 errors" in done.stdout
