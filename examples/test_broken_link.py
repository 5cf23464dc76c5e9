"""Tests of a program whose link breaks: at the byte where it hurts, and every time in the same place."""

import pytest

import sig
from sig.testing import Fault, Faults, pair


def test_a_link_that_is_cut_is_an_error_and_no_hang():
    faults = Faults(received=Fault(cut_at=2000))  # the client is sent so many bytes, and then the link is down
    with pair(faults=faults) as (server, client):
        server.add_sender("camera", requests={"picture": lambda params: "x" * 5000})
        with pytest.raises(sig.ConnectionLost):
            client.request("camera", "picture")


def test_the_second_link_is_sound():
    faults = Faults(sent=Fault(cut_at=10))
    with sig.serve("tcp://127.0.0.1:0") as server:
        with pytest.raises(sig.ConnectFailed):
            sig.connect(faults.upon(server.urls[0]), reconnect=False)
        with sig.connect(faults.upon(server.urls[0]), reconnect=False) as client:
            assert client.senders() == []


def test_a_slow_line_makes_no_difference():
    bytewise = Fault(piece_bytes=1)
    with pair(faults=Faults(sent=bytewise, received=bytewise)) as (server, client):
        server.add_sender("camera", requests={"picture": lambda params: "x" * 5000})
        assert len(client.request("camera", "picture")) == 5000
