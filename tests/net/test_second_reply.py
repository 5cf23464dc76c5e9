"""An owner that answers twice costs nobody anything: the server drops the second answer, and a client would too."""

from __future__ import annotations

from net.aside import aside
from net.raw import LIMIT_S, Raw, raw_server, result

import sig
from sig.messages import Route, encode_control
from sig.protocol.bodies import Reply, pack_reply, unpack_request
from sig.protocol.frames import Kind, pack


def answer_twice(owner: Raw, value: int) -> None:
    frame = owner.read(Kind.REQUEST)
    request = unpack_request(frame)
    for payload in (b"%d" % value, b'"once more"'):
        owner.send(pack_reply(Reply(request.peer, request.corr, payload), route=frame.route))


def test_the_server_drops_it_and_keeps_the_owner() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        with Raw.client(server.urls[0]) as owner:
            owner.hold("s", requests=["m"])
            for value in range(3):
                asking = aside(lambda: client.request("s", "m", timeout=LIMIT_S))
                answer_twice(owner, value)
                assert asking.result(LIMIT_S) == value
        assert client.state == "connected"


def test_it_is_not_taken_for_the_next_answer() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as client,
        Raw.client(server.urls[0]) as owner,
    ):
        owner.hold("s", requests=["m"])
        asking = [client.start_request("s", "m", timeout=LIMIT_S) for _ in range(2)]
        frames = [owner.read(Kind.REQUEST) for _ in asking]
        for frame, answers in zip(frames, ([b"1", b"2"], [b"3"]), strict=True):
            request = unpack_request(frame)
            for payload in answers:
                owner.send(pack_reply(Reply(request.peer, request.corr, payload), route=frame.route))
        assert [call.result(LIMIT_S) for call in asking] == [1, 3]


def test_the_client_drops_it_where_a_server_does_not() -> None:
    with raw_server() as server:
        client, raw = server.connected()
        with raw:
            for value in range(3):
                asking = aside(lambda: client.request("s", "m", timeout=LIMIT_S))
                if not value:  # it asks for the way only once
                    call = raw.read(Kind.CALL)
                    raw.send(pack(Kind.ROUTE, encode_control(Route("s")), route=5), result(5, call))
                answer_twice(raw, value)
                assert asking.result(LIMIT_S) == value
            assert client.state == "connected"
            driver = client._driver
            assert driver is not None
            assert driver.core.asking.calls.late >= 2, "the last may be under way"
            raw.sock.close()
            client.close()
