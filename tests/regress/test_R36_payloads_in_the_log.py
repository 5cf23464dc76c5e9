"""R36. Every message was dumped for log lines, even with logging off; payloads are not logged at all."""

from __future__ import annotations

import logging

import pytest

import sig


def test_no_payload_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sig")

    def fail(info: sig.Info, data: object) -> None:
        raise ValueError("something else")

    class Spoken:
        def __repr__(self) -> str:
            raise AssertionError("somebody made a text of the payload")

        __str__ = __repr__

    with sig.Router() as router, router.add_sender("s", "e") as sender:
        router.listen(fail)
        sender.trigger("e", Spoken())
    with sig.serve("tcp://127.0.0.1:0") as server, server.add_sender("s", "e") as sender:
        server.listen(fail, "s", "e")
        sender.trigger("e", "S3CR3T")
    assert "something else" in caplog.text
    assert "S3CR3T" not in caplog.text
