"""R18. A second reply with the same number killed the connection; it finds nobody."""

from __future__ import annotations

from regress.hostile import in_thread, raw

import sig
from sig.messages import AddSender
from sig.protocol.bodies import Reply, pack_reply, unpack_request
from sig.protocol.frames import Kind


def test_a_second_reply_is_dropped() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as owner, sig.connect(server.urls[0]) as client:
        owner.call(AddSender("s", [], ["m"]), 1)
        owner.wait_for(Kind.RESULT)

        def answer_twice() -> None:
            frame = owner.wait_for(Kind.REQUEST)
            request = unpack_request(frame)
            reply = pack_reply(Reply(request.peer, request.corr, b"1"), route=frame.route)
            owner.send(reply + reply)

        thread = in_thread(answer_twice)
        assert client.request("s", "m") == 1
        thread.join()
        client.flush()
        assert client.state == "connected"
