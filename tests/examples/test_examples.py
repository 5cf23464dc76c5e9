"""Every example runs, and prints what the documentation shows."""

from __future__ import annotations

from pathlib import Path

import pytest

import sig

from .programs import EXAMPLES, recorded, run, running, without_places

FREE = "tcp://127.0.0.1:0"

# Programs that need nobody else: what they print is in examples/output.
ALONE = sorted(
    path.relative_to(EXAMPLES / "output").with_suffix(".py").as_posix() for path in (EXAMPLES / "output").rglob("*.txt")
)

# Programs that work together: each has a test below.
TOGETHER = {
    "browser/host.py",  # in tests/browser
    "browser/login_host.py",  # in tests/browser
    "panels/__init__.py",  # parts of plugins.py
    "panels/journal.py",
    "panels/lamp.py",
    "web_application.py",  # in tests/aio
    "gui_tk.py",  # in tests/gui
    "gui_qt.py",
    "heating.py",  # in tests/testing, and so are its tests
    "test_broken_link.py",
    "test_heating.py",
    "test_with_asyncio.py",
    "test_pipe_carrier.py",
    "serial_board.py",  # in tests/carriers
    "hello_server.py",
    "hello_client.py",
    "other_language_client.py",
    "other_language_host.py",
    "trigger_and_end.py",
    "tutorial/step4_server.py",
    "tutorial/step5_display.py",
    "tutorial/step6_freezer.py",
    "tutorial/step7_service.py",
    "tutorial/step8_desk.py",
    "tutorial/step9_watch.py",
}


def test_every_example_is_run() -> None:
    there = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")}
    assert there == {*ALONE, *TOGETHER}


@pytest.mark.parametrize("program", ALONE)
def test_it_prints_what_is_shown(program: str) -> None:
    assert without_places(run(program)) == recorded(program)


def test_hello_in_two_programs() -> None:
    with running("hello_server.py", FREE) as server:
        url = server.line().removeprefix("serving at ")
        assert run("hello_client.py", url) == "done\nthermostat changed {'celsius': 22.5}\n"
        server.interrupt()
        assert server.end() == "bye\n"


def test_a_program_that_ends_at_once_has_said_its_thing() -> None:
    heard: list[object] = []
    with sig.serve(FREE) as server:
        server.listen(lambda info, data: heard.append(data), "cron/backup", "done")
        assert run("trigger_and_end.py", SIG_URL=server.urls[0]) == ""
        server.flush()
    assert heard == [{"files": 812}]


def test_the_tutorial_over_the_network() -> None:
    with running("tutorial/step4_server.py", FREE) as server:
        url = server.line().removeprefix("serving at ")
        with running("tutorial/step5_display.py", url) as display:
            assert display.line() == "listening"
            assert run("tutorial/step6_freezer.py", url) == ""
            assert display.end() == "freezer -21.4\nfreezer -20.9\nfreezer 3.5\n"
        server.interrupt()
        assert server.end() == "bye\n"


def test_the_tutorial_with_requests_and_presence() -> None:
    with running("tutorial/step4_server.py", FREE) as server:
        url = server.line().removeprefix("serving at ")
        with running("tutorial/step9_watch.py", url) as watch:
            assert watch.line() == "here already: []"
            with running("tutorial/step7_service.py", url) as service:
                assert service.line() == "at your service"
                assert run("tutorial/step8_desk.py", url).splitlines() == [
                    "{'target': -21.0}",
                    "{'target': -25.0}",
                    "refused (too_warm): 20.0 is too warm for what is in here",
                    "sender 'freezer' has no request 'dance'",
                    "sender 'oven' is not connected",
                ]
                assert watch.line() == "freezer has come: ['target'] ['read', 'set_target']"
                service.interrupt()
                assert service.end() == "bye\n"
            assert watch.end() == "freezer has gone: closed\n"
        server.interrupt()
        assert server.end() == "bye\n"


def test_the_service_of_the_tutorial_comes_back_by_itself(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/sig.sock"  # which nobody else takes meanwhile
    with running("tutorial/step4_server.py", url) as server:
        assert server.line() == f"serving at {url}"
        with running("tutorial/step7_service.py", url) as service:
            assert service.line() == "at your service"
            with sig.connect(url) as client:
                client.request("freezer", "set_target", -25.0)
            server.interrupt()
            assert server.end() == "bye\n"
            with running("tutorial/step4_server.py", url) as again:
                assert again.line() == f"serving at {url}"
                with sig.connect(url) as client:
                    assert client.sender("freezer").wait(50)
                    assert client.request("freezer", "read") == {"target": -25.0}
                service.interrupt()
                assert service.end() == "bye\n"


def test_a_client_in_another_language() -> None:
    """It follows docs/explanation/wire.md and nothing else: it does not import `sig`."""
    assert "import sig" not in (EXAMPLES / "other_language_client.py").read_text(encoding="utf-8")
    with running("other_language_host.py") as host:
        port = host.line().rpartition(":")[2]
        assert run("other_language_client.py", port).splitlines() == [
            "('host', 'said', 'welcome, a stranger: twice 21 is 42')",
            "6",
            "method_not_found: sender 'host' has no request 'subtract'",
        ]
        assert host.end() == "the guest has left: closed\n"
