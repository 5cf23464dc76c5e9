"""TLS as a layer: two real ends, however what passes between them is cut up, and whatever else arrives."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from math import inf

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from protocol.certificates import (
    CA,
    CLIENT,
    HOST,
    SERVER_CERT,
    USER_CERT,
    Issued,
    authority,
    below,
    carry,
    connect,
    context,
    ip,
    settle,
)
from protocol.pairs import Cut, byte_by_byte, seeded, whole

from sig.errors import HandshakeRefused, InvalidArgument, RemoteProtocolError
from sig.protocol.frames import PREFACE, FramingError, parse_preface
from sig.protocol.layers import Layer
from sig.protocol.tls import TLSLayer

ENDS = {"server": (True, SERVER_CERT, None), "client": (False, USER_CERT, [CA])}
CONTEXTS = {name: context(side, own, trusted) for name, (side, own, trusted) in ENDS.items()}
MUTUAL = context(True, SERVER_CERT, [CA])

CUTS = pytest.mark.parametrize("cut", [whole, byte_by_byte, seeded(1)], ids=["whole", "bytes", "seeded"])
SIDES = pytest.mark.parametrize("side", ["client", "server"])


def fresh() -> tuple[TLSLayer, TLSLayer]:
    """A client and a server; nothing has passed."""
    return connect(CONTEXTS["client"], MUTUAL)


def opened() -> tuple[TLSLayer, TLSLayer]:
    client, server = fresh()
    assert settle(client, server) == {}
    return client, server


def feed(layer: Layer, data: bytes, cut: Cut) -> bytes:
    return b"".join(layer.receive(part, 0.0) for part in cut(data))


def talk(client: Layer, server: Layer, cut: Cut) -> tuple[bytes, bytes]:
    """Carry all there is, in parts; returns what the peer of each has got."""
    got = {client: b"", server: b""}
    moved = True
    while moved:
        moved = False
        for source, target in ((client, server), (server, client)):
            if data := source.data_to_send():
                moved = True
                got[target] += feed(target, data, cut)
    return got[client], got[server]


# -- handshake and data --------------------------------------------------------------------------


def check_that_all_arrives(cut: Cut, messages: Iterable[bytes]) -> None:
    client, server = fresh()
    sent = b""
    for message in messages:
        sent += message
        client.send(message, 0.0)
        server.send(message[::-1], 0.0)
    client.close(0.0)
    at_client, at_server = talk(client, server, cut)
    assert (at_client, at_server) == (b"".join(m[::-1] for m in messages), sent)
    assert (client.closed, server.closed) == (False, True)
    server.close(0.0)
    assert talk(client, server, cut) == (b"", b"")
    assert client.closed


@CUTS
def test_all_arrives_however_it_is_cut(cut: Cut) -> None:
    check_that_all_arrives(cut, [b"a", b"bc" * 500, b"", b"d" * 40_000])


@given(st.integers(0, 2**32), st.lists(st.binary(max_size=200), max_size=5))
def test_all_arrives_cut_at_random(seed: int, messages: list[bytes]) -> None:
    check_that_all_arrives(seeded(seed), messages)


def test_large_data_both_ways() -> None:
    large = bytes(range(256)) * 20_000  # 5 MB: more than OpenSSL is given at once
    client, server = opened()
    client.send(large, 0.0)
    server.send(large[::-1], 0.0)
    assert (client.held, server.held) == (0, 0)
    assert talk(client, server, whole) == (large[::-1], large)


def test_data_may_be_a_view() -> None:
    client, server = opened()
    client.send(b"seen", 0.0)
    assert server.receive(memoryview(client.data_to_send()), 0.0) == b"seen"


def test_a_client_begins() -> None:
    client, server = fresh()
    assert client.data_to_send()
    assert server.data_to_send() == b""


def test_what_is_sent_before_the_handshake_is_held() -> None:
    client, server = fresh()
    client.send(b"early", 0.0)
    client.send(b"bird", 0.0)
    assert client.held == 9
    assert carry(client, server) == b""
    assert client.held == 9
    assert carry(server, client) == b""
    assert client.held == 0
    assert carry(client, server) == b"earlybird"


def test_nothing_is_received_before_all_has_come_and_the_rest_is_what_was_missing() -> None:
    """Truncated at each point: never more than was sent, no end that was not said, and no error."""
    client, server = fresh()
    for source, target in ((client, server), (server, client)):
        flight = source.data_to_send()
        assert feed(target, flight[:-1], byte_by_byte) == b""
        assert target.identity is None
        target.receive(flight[-1:], 0.0)
    server.receive(client.data_to_send(), 0.0)
    for part in (b"one", b"two", b"three"):
        server.send(part, 0.0)
    server.close(0.0)
    got = b""
    stages = []
    for byte in byte_by_byte(server.data_to_send()):
        assert not client.closed
        got += client.receive(byte, 0.0)
        stages.append(got)
    assert client.closed
    assert sorted(set(stages), key=len) == [b"", b"one", b"onetwo", b"onetwothree"]


def test_no_time_is_needed() -> None:
    client, _ = fresh()
    assert client.next_deadline() is None
    client.handle_timeout(1e9)
    assert client.data_to_send()


# -- the end -------------------------------------------------------------------------------------


def test_a_close_before_the_handshake_is_behind_what_was_sent() -> None:
    client, server = fresh()
    client.send(b"last words", 0.0)
    client.close(0.0)
    client.close(0.0)
    assert talk(client, server, whole) == (b"", b"last words")
    assert server.closed


def test_after_a_close_nothing_is_sent_and_much_is_received() -> None:
    client, server = opened()
    server.send(b"under way" * 3, 0.0)
    flight = server.data_to_send()
    assert client.receive(flight[:20], 0.0) == b""
    client.close(0.0)
    client.send(b"too late", 0.0)
    assert client.held == 0
    assert client.receive(flight[20:], 0.0) == b"under way" * 3
    assert carry(client, server) == b""
    assert server.closed
    server.send(b"answer", 0.0)
    server.close(0.0)
    assert carry(server, client) == b"answer"
    assert client.closed


def test_what_comes_behind_the_end_is_nothing() -> None:
    client, server = opened()
    server.close(0.0)
    client.receive(server.data_to_send() + b"more", 0.0)
    assert client.closed
    assert client.receive(b"and more", 0.0) == b""
    assert client.next_deadline() is None


def test_an_end_before_the_handshake() -> None:
    client, _ = fresh()
    assert client.receive(b"\x15\x03\x03\x00\x02\x01\x00", 0.0) == b""
    assert client.closed


# -- who it is -----------------------------------------------------------------------------------

DNS, URI, MAIL = x509.DNSName("lab-1"), x509.UniformResourceIdentifier("spiffe://lab/1"), x509.RFC822Name("a@b.example")


@pytest.mark.parametrize(
    ("names", "identity"),
    [
        ((MAIL, URI, DNS, x509.DNSName("lab-2")), "lab-1"),
        ((ip("127.0.0.1"), MAIL, URI), "spiffe://lab/1"),
        ((MAIL,), "a@b.example"),
        ((ip("127.0.0.1"),), None),
        ((), None),
    ],
)
def test_a_client_is_who_its_certificate_says(names: tuple[x509.GeneralName, ...], identity: str | None) -> None:
    user = below(CA, use=CLIENT, names=names, subject="root")
    client, server = connect(context(False, user, [CA]), MUTUAL)
    assert settle(client, server) == {}
    assert server.identity == identity
    assert server.expires == int(user.certificate.not_valid_after_utc.timestamp())


def test_a_client_without_a_certificate_is_nobody() -> None:
    client, server = connect(CONTEXTS["client"], CONTEXTS["server"])
    assert settle(client, server) == {}
    assert (server.identity, server.expires) == (None, inf)
    optional = context(True, SERVER_CERT, [CA])
    optional.verify_mode = ssl.CERT_OPTIONAL
    client, server = connect(context(False, None, [CA]), optional)
    assert settle(client, server) == {}
    assert server.identity is None


@pytest.mark.parametrize("host", ["one.lab.example", "192.168.1.5", "::1"])
def test_a_server_is_the_host_that_was_asked_for(host: str) -> None:
    many = below(CA, names=(x509.DNSName("other.example"), x509.DNSName("*.lab.example"), ip("192.168.1.5"), ip("::1")))
    client, server = connect(CONTEXTS["client"], context(True, many), host)
    assert settle(client, server) == {}
    assert client.identity == host


def test_a_server_whose_name_was_not_checked() -> None:
    lenient = context(False, None, [CA])
    lenient.check_hostname = False
    client, server = connect(lenient, CONTEXTS["server"], "elsewhere")
    assert settle(client, server) == {}
    assert client.identity == HOST
    lenient.verify_mode = ssl.CERT_NONE
    client, server = connect(lenient, CONTEXTS["server"])
    assert settle(client, server) == {}
    assert client.identity is None


@pytest.mark.parametrize("host", ["", ".example", "a" * 64 + ".example"])
def test_what_cannot_be_a_host(host: str) -> None:
    with pytest.raises(InvalidArgument, match="no name that a certificate could be for"):
        TLSLayer(CONTEXTS["client"], server_side=False, server_hostname=host)


def test_a_context_that_allows_no_version() -> None:
    none = context(False, None, [CA])
    none.maximum_version, none.minimum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    with pytest.raises(HandshakeRefused, match="no version of TLS in common"):
        TLSLayer(none, server_side=False, server_hostname=HOST)


# -- others --------------------------------------------------------------------------------------


def one(side: str) -> TLSLayer:
    client, server = fresh()
    layer = client if side == "client" else server
    layer.data_to_send()
    return layer


def refusal(side: str) -> type[Exception]:
    return HandshakeRefused if side == "client" else RemoteProtocolError


@SIDES
@pytest.mark.parametrize(
    "greeting", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 400 No", PREFACE, bytes(8), b"x"]
)
def test_who_speaks_no_tls_is_told_at_once(side: str, greeting: bytes) -> None:
    layer = one(side)
    with pytest.raises(refusal(side), match="speaks no TLS: it began with .*; use tls:// on both sides") as told:
        layer.receive(greeting, 0.0)
    assert repr(greeting[:8]) in str(told.value)
    with pytest.raises(FramingError, match="the peer speaks TLS; use tls:// on both sides"):
        parse_preface(layer.data_to_send())


@SIDES
@given(noise=st.binary(min_size=5))
def test_noise_is_never_data(side: str, noise: bytes) -> None:
    layer = one(side)
    layer.send(b"secret", 0.0)
    begins_like_tls = noise[0] in (0x15, 0x16)
    try:
        assert layer.receive(noise, 0.0) == b""
        assert begins_like_tls
    except (HandshakeRefused, RemoteProtocolError):
        assert layer.held == 0
    assert b"secret" not in layer.data_to_send()


@SIDES
def test_what_only_begins_like_tls(side: str) -> None:
    with pytest.raises(refusal(side), match="does not speak TLS as it should"):
        one(side).receive(b"\x16PSIG" * 20, 0.0)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (10, "does not expect TLS: use tls://"),
        (40, "may want a certificate"),
        (42, "may be not valid yet, too weak or for another name"),
        (43, "is not for this use"),
        (44, "revoked"),
        (45, "expired"),
        (46, "look there for the reason"),
        (48, "does not know the authority"),
        (51, "finds a signature"),
        (70, "no version of TLS in common"),
        (71, "no way to encrypt in common"),
        (80, "cannot be talked to over TLS: OpenSSL says 'tlsv1 alert internal error'"),
        (116, "wants a certificate of this side: set `cert` and `key`"),
    ],
)
def test_a_refusal_of_the_server_is_a_sentence(number: int, told: str) -> None:
    with pytest.raises(HandshakeRefused, match=f"^the server 'lab.example' .*{told}") as refused:
        one("client").receive(bytes((0x15, 3, 3, 0, 2, 2, number)), 0.0)
    assert isinstance(refused.value.__cause__, ssl.SSLError)


def test_no_version_in_common() -> None:
    old, new = context(False, None, [CA]), context(True, SERVER_CERT)
    old.maximum_version, new.minimum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    errors = settle(*connect(old, new))
    for name, them in (("server", "the client"), ("client", "the server 'lab.example'")):
        assert str(errors[name]).startswith(f"{them} and this side have no version of TLS in common")


def test_no_cipher_in_common() -> None:
    one_way, other_way = context(False, None, [CA]), context(True, SERVER_CERT)
    for made, cipher in ((one_way, "ECDHE-ECDSA-AES128-GCM-SHA256"), (other_way, "ECDHE-ECDSA-AES256-GCM-SHA384")):
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers(cipher)
    errors = settle(*connect(one_way, other_way))
    assert "the client and this side have no way to encrypt in common" in str(errors["server"])
    assert "refuses this side" in str(errors["client"])


def test_a_fault_of_a_certificate_that_is_rare_is_told_in_words_of_openssl() -> None:
    top = authority(path_length=0)
    middle = below(top, subject="middle", names=(), use=None, authority=True)
    low = below(middle)
    errors = settle(
        *connect(context(False, None, [top]), context(True, Issued(low.certificate, low.key, (middle.certificate,))))
    )
    assert "is refused: path length constraint exceeded" in str(errors["client"])


def test_an_error_is_no_end() -> None:
    client, server = connect(context(False, None, [authority()]), CONTEXTS["server"])
    assert set(settle(client, server)) == {"client", "server"}
    assert (client.closed, server.closed) == (False, False)


# -- a fault after the handshake -----------------------------------------------------------------


def spoilt(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


@CUTS
def test_what_came_before_a_fault_is_given_first(cut: Cut) -> None:
    client, server = opened()
    server.send(b"good", 0.0)
    good = server.data_to_send()
    server.send(b"bad", 0.0)
    got: list[bytes] = []

    def take(data: bytes) -> None:
        for part in cut(data):
            got.append(client.receive(part, 0.0))
            if client.next_deadline() is not None:
                client.handle_timeout(0.0)

    with pytest.raises(RemoteProtocolError, match="^the server .* cannot be talked to over TLS: OpenSSL says"):
        take(good + spoilt(server.data_to_send()))
    assert b"".join(got) == b"good"
    assert client.next_deadline() == 0.0


def test_after_a_fault_all_is_over() -> None:
    client, server = opened()
    client.send(b"bad", 0.0)
    with pytest.raises(RemoteProtocolError) as first:
        server.receive(spoilt(client.data_to_send()), 0.0)
    alert = server.data_to_send()
    assert alert
    server.send(b"more", 0.0)
    server.close(0.0)
    assert (server.held, server.data_to_send()) == (0, b"")
    for again in (lambda: server.receive(b"", 0.0), lambda: server.handle_timeout(0.0)):
        with pytest.raises(RemoteProtocolError) as second:
            again()
        assert second.value is first.value
    with pytest.raises(HandshakeRefused):  # it has heard nothing of the server's yet
        client.receive(alert, 0.0)


def test_it_is_a_layer() -> None:
    layer: Layer = one("client")
    assert not layer.closed
