"""R43. If a `#connect` listener raised, the sender stayed registered for ever after its client had gone."""

from __future__ import annotations

from regress.hostile import Heard

import sig


def test_a_sender_leaves_whatever_its_listeners_do() -> None:
    def fail(info: sig.Info, data: object) -> None:
        raise ZeroDivisionError

    gone = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server:
        server.listen(fail, None, "#connect")
        server.listen(fail, None, "#disconnect")
        server.listen(gone, None, "#disconnect")
        client = sig.connect(server.urls[0])
        client.add_sender("s", "e")
        client.close()
        gone.wait(1)
        assert server.senders() == []


def test_in_one_process_too() -> None:
    def fail(info: sig.Info, data: object) -> None:
        raise ZeroDivisionError

    with sig.Router() as router:
        router.listen(fail)
        router.add_sender("s", "e").remove()
        assert router.senders() == []
