"""The examples of windows show what they are told, and end well."""

from __future__ import annotations

import time

import pytest
from examples.programs import running
from gui.windows import LIMIT_S

import sig


def test_it_shows_live_values(kind: str) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        pumps = [server.add_sender(f"plant/pump-{number}", "state") for number in (1, 2)]
        with running(f"gui_{kind}.py", server.urls[0]) as example:
            display = server.sender("display")
            assert display.wait(LIMIT_S), example.end()
            for bar in range(3):
                for pump in pumps:
                    pump.trigger("state", f"{bar} bar")
            deadline = time.monotonic() + LIMIT_S
            wanted = {pump.name: f"{pump.name} 2 bar" for pump in pumps}
            while (seen := display.request("shown")) != wanted:  # no order is promised between events and answers
                assert time.monotonic() < deadline, seen
            display.request("close")
            assert example.end() == ""


@pytest.fixture(autouse=True)
def offscreen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("QT_LOGGING_RULES", "default.warning=false")  # of all that offscreen cannot do
