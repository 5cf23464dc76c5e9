"""`sig serve`: what it prints, its limits, and how it ends."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli.commands import LIMIT_S, at_terminal, command, line_of, only_line, running
from cli.conftest import Here

import sig
from sig import certs
from sig.cli import limits


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_its_port_and_ends_on_a_signal(number: signal.Signals) -> None:
    with running("serve", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0") as process:
        urls = [line_of(process).split()[1] for _ in range(2)]
        for url in urls:
            assert url.startswith("tcp://127.0.0.1:")
            with sig.connect(url) as client:
                assert client.senders() == []
        assert urls[0] != urls[1]
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, out, err) == (0, "", "")


def test_without_an_address_it_serves_where_commands_connect() -> None:
    with running("serve", url="tcp://127.0.0.1:0") as process:
        assert line_of(process).startswith("serving tcp://127.0.0.1:")


def test_other_machines_only_when_told() -> None:
    done = command("serve", "tcp://0.0.0.0:0")
    assert done.returncode == 2
    assert "--insecure-public" in only_line(done.stderr)
    with running("serve", "tcp://0.0.0.0:0", "--insecure-public") as process:
        assert line_of(process).startswith("serving tcp://0.0.0.0:")


def test_a_port_in_use_is_one_sentence(url: str) -> None:
    done = command("serve", url)
    assert done.returncode == 3
    assert "the port is in use" in only_line(done.stderr)


def test_it_serves_in_another_codec() -> None:
    with (
        running("serve", "tcp://127.0.0.1:0", "--codec", "msgpack") as process,
        sig.connect(line_of(process).split()[1], codec="msgpack") as client,
    ):
        client.add_sender("s", requests={"echo": lambda params: params})
        assert client.request("s", "echo", {1: b"\x00\xff"}) == {1: b"\x00\xff"}


def test_it_serves_with_tls(tmp_path: Path) -> None:
    made = certs.make(tmp_path, ["localhost"], ["lab"], days=1)
    files = ["--tls-cert", made.server.cert, "--tls-key", made.server.key, "--tls-ca", made.authority.cert]
    with running("serve", "tls://127.0.0.1:0", *map(str, files)) as process:
        url = line_of(process).split()[1].replace("127.0.0.1", "localhost")
        lab = made.clients[0]
        done = command("senders", "--json", "--url", f"{url}?ca={made.authority.cert}&cert={lab.cert}&key={lab.key}")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        done = command("senders", "--url", f"{url}?ca={made.authority.cert}")
        assert done.returncode == 3
        assert "wants a certificate of this side" in only_line(done.stderr)


def test_tls_options_need_an_address_that_goes_with_them() -> None:
    done = command("serve", "tcp://127.0.0.1:0", "--tls-ca", "ca.pem")
    assert done.returncode == 2
    assert "write tls:// or wss://" in only_line(done.stderr)


def test_a_web_page_may_connect_when_told(tmp_path: Path) -> None:
    with running("serve", "ws://127.0.0.1:0/bus", "--origin", "http://lab.example") as process:
        url = line_of(process).split()[1]
        for origin, told in (("http://lab.example", "101"), ("http://other.example", "403")):
            with connect_to(url) as sock:
                sock.sendall(
                    f"GET /bus HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Protocol: pysig.v1\r\nOrigin: {origin}\r\n\r\n".encode()
                )
                assert sock.recv(1024).split()[1].decode() == told


def connect_to(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), LIMIT_S)


@pytest.mark.parametrize(
    "words",
    [
        ["--limit", "max_names=1", "--limit", "handshake-timeout-s=5.5"],
        ["--max-names", "1", "--handshake-timeout-s=5.5"],
        ["--max_names=1"],
    ],
)
def test_limits_are_options(words: list[str]) -> None:
    with running("serve", "tcp://127.0.0.1:0", *words) as process:
        address = line_of(process).split()[1]
        with sig.connect(address) as client:
            client.add_sender("a", "e")
            with pytest.raises(sig.Overloaded):
                client.add_sender("b", "e")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--limit", "max_nmaes=1"], "max_names"),
        (["--limit", "max_names"], "NAME=NUMBER"),
        (["--limit", "a=b"], "NAME=NUMBER"),
        (["--max-names"], "NAME=NUMBER"),
        (["--max-names", "0"], "whole number above zero"),
        (["--max-nmaes", "1"], "--max-nmaes"),
    ],
)
def test_a_wrong_limit_is_one_sentence(here: Here, words: list[str], told: str) -> None:
    done = here("serve", "tcp://127.0.0.1:0", *words)
    assert (done.code, done.out) == (2, "")
    assert told in only_line(done.err)


def test_every_limit_is_told_in_the_help(here: Here) -> None:
    shown = here("serve", "--help").out
    assert [option for option in limits.OPTIONS if option not in shown] == []


def test_options_that_are_no_limits_stay_as_they_are() -> None:
    words = ["serve", "tcp://127.0.0.1:0", "--insecure-public", "--limit", "max_names=1", "--max-x", "5"]
    assert limits.spell_out(words) == words


def test_a_person_is_told_how_to_end_it() -> None:
    assert "Ctrl-C ends it" in at_terminal("serve", "tcp://127.0.0.1:0", ctrl_c_at="serving tcp://")
