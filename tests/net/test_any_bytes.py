"""Whatever a peer sends, it costs that one link at most: at the server's end and at the client's."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from net.aside import aside
from net.raw import LIMIT_S, Raw, raw_server, result

import sig
from sig.messages import Hello, Senders, encode_control
from sig.protocol.frames import HEADER, PREFACE, Kind, pack

HELLO = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"])))

BODIES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"{}", b'{"call":"senders"}', b'{"call":"listen","id":1}', b'{"ok":null}', b'{"code":"x"}', b"[]"]
    ),
    st.sampled_from([b'{"call":"add_sender","name":"s","events":["e"]}', b'{"sender":"s","event":"e","owner":true}']),
)
FRAMES = st.builds(
    lambda kind, flags, count, route, body: pack(kind, body, flags=flags, count=count, route=route),
    st.one_of(st.sampled_from([kind.value for kind in Kind]), st.integers(0, 255)),
    st.one_of(st.just(0), st.integers(0, 15)),
    st.one_of(st.integers(0, 3), st.integers(0, 65535)),
    st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1)),
    BODIES,
)


def cut_short(frames: list[bytes]) -> bytes:
    return b"".join(frames)[:-1]


GARBAGE = st.one_of(
    st.binary(max_size=60), st.lists(FRAMES, max_size=8).map(b"".join), st.lists(FRAMES, max_size=3).map(cut_short)
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("sig").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("sig").setLevel(logging.NOTSET)


def test_the_server_goes_on_serving_the_others() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, Raw.client(server.urls[0]) as witness:

        @given(st.one_of(GARBAGE, GARBAGE.map(PREFACE.__add__), GARBAGE.map(HELLO.__add__)))
        @example(HELLO + HEADER.pack(2**32 - 1, Kind.EVENT, 0, 1, 1))
        def attempt(data: bytes) -> None:
            with Raw.connect(server.urls[0]) as stranger:
                stranger.send(data)
            assert witness.call(Senders("honest")) == []

        attempt()
        server.add_sender("honest", "e", {"m": lambda params: params})
        assert server.request("honest", "m", 5) == 5


def test_a_client_is_told_and_ends_in_order() -> None:
    with raw_server() as server:

        @given(GARBAGE)
        def attempt(data: bytes) -> None:
            client, raw = server.connected()
            with raw:
                asking = aside(client.flush)
                raw.read(Kind.CALL)
                raw.send(data)
                raw.sock.shutdown(socket.SHUT_WR)
                try:
                    asking.result(LIMIT_S)  # among the garbage may be an answer
                except sig.SigError:
                    pass
                with pytest.raises(sig.ConnectionLost):
                    client.wait(LIMIT_S)
                with pytest.raises(sig.SigError):
                    client.flush()
            assert client.state == "away"
            client.close()

        attempt()


@pytest.mark.parametrize("answer", [None, [5], [{}]], ids=str)
def test_an_answer_of_another_form_is_an_error_of_ours(answer: object) -> None:
    with raw_server() as server:
        client, raw = server.connected()
        with raw:
            asking = aside(client.senders)
            raw.send(result(answer, raw.read(Kind.CALL)))
            with pytest.raises(sig.SigError):
                asking.result(LIMIT_S)
        client.close()
