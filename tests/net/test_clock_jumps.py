"""The wall clock jumps, and nothing happens: what lasts is counted on a clock that does not."""

from __future__ import annotations

import ast
import threading
import time
from pathlib import Path

import pytest

import sig

SOURCE = Path(sig.__file__).parent
YEARS_S = 10 * 365 * 86_400.0
LIMIT_S = 30
DEMO = ("files", "metrics", "tally")
# What has to do with days and years: how far the two clocks are apart, when certificates and tokens begin and end, and
# what the demonstration tells people.
ALLOWED = {
    "serving.py",
    "certs.py",
    "cli/token.py",
    "demo/metrics.py",
    "demo/tally.py",
    "demo/files.py",
    "drivers/local.py",
}


@pytest.mark.parametrize("jump_s", [YEARS_S, -YEARS_S, 3600.0, -3600.0])
def test_deadlines_heartbeats_and_order_go_on(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    went_on = threading.Event()
    wall = time.time
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0], reconnect=False) as owner,
        sig.connect(server.urls[0], reconnect=False) as client,
    ):
        stuck = threading.Event()
        sender = owner.add_sender(
            "s", "e", {"stuck": lambda params: stuck.wait(LIMIT_S), "quick": lambda params: params}
        )
        heard: list[tuple[object, float | None]] = []

        def hear(info: sig.Info, data: object) -> None:
            heard.append((data, info.time))
            if data == 1:
                went_on.set()

        client.listen(hear, "s", "e", meta=True)
        sender.trigger("e", 0)
        owner.flush()
        late = client.start_request("s", "stuck", timeout=0.3)
        soon = client.start_request("s", "stuck", timeout=LIMIT_S)
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        sender.trigger("e", 1)
        assert went_on.wait(LIMIT_S)
        with pytest.raises(sig.RequestTimeout):  # backwards it would never end
            late.result(LIMIT_S)
        assert client.request("s", "quick", 5, timeout=LIMIT_S) == 5
        assert not soon.done()  # forwards it would have ended
        stuck.set()
        assert soon.result(LIMIT_S) is True
        assert (client.state, owner.state) == ("connected", "connected")
        (first, before), (second, after) = heard
        assert (first, second) == (0, 1)
        assert before is not None
        assert after is not None
        assert 0 <= after - before < LIMIT_S + 30  # times are the server's, which does not jump either


def test_nobody_else_asks_the_wall_clock() -> None:
    asking = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(ast.Name("time"), "time" | "time_ns") | ast.Attribute(ast.Name("datetime"), "now"):
                    asking.add(path.relative_to(SOURCE).as_posix())
    assert asking == ALLOWED
