"""Bad certificates, at either end: each is refused, with a sentence that says which thing is wrong with it.

The end that checks has a context of ours, made from files; the other shows what no sensible tool makes.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from protocol.certificates import (
    CA,
    CLIENT,
    DAY,
    HOST,
    NOW,
    SERVER_CERT,
    USER_CERT,
    Issued,
    Order,
    authority,
    connect,
    context,
    ip,
    issue,
    pem_of,
    settle,
    signed_with_sha1,
)

from sig.carriers.contexts import TLS, client_context, server_context
from sig.errors import HandshakeRefused, RemoteProtocolError
from sig.protocol.tls import TLSLayer

SERVER = Order()
USER = Order(names=(x509.DNSName("lab-1"),), use=CLIENT)

RSA_CA = authority("an authority with RSA", rsa_bits=2048)
WEAK_CA = authority("a weak authority", rsa_bits=1024)
OTHER_CA = authority("another authority")
FALSE_CA = authority()  # has the name of CA
BETWEEN = issue(Order("an authority between", (), None, authority=True), CA)
NO_AUTHORITY = issue(Order("no authority", (), None), CA)
TRUSTED = (CA, RSA_CA, WEAK_CA)


def bad(order: Order) -> dict[str, tuple[Issued | None, str]]:
    """What an end that orders certificates like this may show, and what it is told."""
    below_between = issue(order, BETWEEN)
    below_no_authority = issue(order, NO_AUTHORITY)
    return {
        "expired": (issue(replace(order, begins=NOW - 2 * DAY, ends=NOW - DAY), CA), "has expired: renew it"),
        "not valid yet": (issue(replace(order, begins=NOW + DAY / 2), CA), "is not valid yet: set the clock"),
        "unknown authority": (issue(order, OTHER_CA), "signed by an authority that is not known here"),
        "unknown authority, shown": (
            with_chain(issue(order, OTHER_CA), OTHER_CA),
            "authority that is not trusted here",
        ),
        "authority of the same name": (issue(order, FALSE_CA), "has a signature that is not its issuer's"),
        "self-signed": (issue(order), "is self-signed: have an authority sign it"),
        "weak key": (issue(replace(order, rsa_bits=1024), CA), "has a key that is too weak: use ECDSA P-256"),
        "weak authority": (issue(order, WEAK_CA), "signed by an authority whose key is too weak"),
        "weak signature": (signed_with_sha1(order, RSA_CA), "has a signature that is too weak, such as one with SHA-1"),
        "no intermediate": (below_between, "or an intermediate certificate is missing: .* send its whole chain"),
        "issuer is no authority": (with_chain(below_no_authority, NO_AUTHORITY), "is no authority's: .* CA:TRUE"),
    }


def with_chain(issued: Issued, *chain: Issued) -> Issued:
    return dataclasses.replace(issued, chain=tuple(each.certificate for each in chain))


class Ours(NamedTuple):
    """What our ends show and trust, in files."""

    server: TLS
    client: TLS


@pytest.fixture
def ours(tmp_path: Path) -> Ours:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(b"".join(pem_of(each.certificate) for each in TRUSTED))
    shown: list[TLS] = []
    for name, issued in (("server", SERVER_CERT), ("user", USER_CERT)):
        cert, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        cert.write_bytes(issued.pem)
        key.write_bytes(issued.key_pem)
        shown.append(TLS(cert=cert, key=key, ca=trusted))
    return Ours(*shown)


def check_that_nothing_passes(client: TLSLayer, server: TLSLayer) -> tuple[str, str]:
    """They meet, and fail; returns what the client and what the server has to say."""
    client.send(b"a secret", 0.0)
    server.send(b"another", 0.0)
    errors = settle(client, server)
    assert {name: type(error) for name, error in errors.items()} == {
        "client": HandshakeRefused,
        "server": RemoteProtocolError,
    }
    assert (client.held, server.held) == (0, 0)
    assert server.identity is None
    for layer, error in ((client, errors["client"]), (server, errors["server"])):
        with pytest.raises(type(error)):  # what waits in it comes out no more
            layer.receive(b"", 0.0)
    return str(errors["client"]), str(errors["server"])


BAD_SERVERS, BAD_CLIENTS = bad(SERVER), bad(USER)


@pytest.mark.parametrize("name", BAD_SERVERS)
def test_a_bad_server(name: str, ours: Ours) -> None:
    shown, told = BAD_SERVERS[name]
    client, server = connect(client_context(TLS(ca=ours.client.ca)), context(True, shown, level=0))
    at_client, at_server = check_that_nothing_passes(client, server)
    assert client.identity is None
    assert at_client.startswith(f"the certificate of the server {HOST!r} ")
    assert re.search(told, at_client)
    assert re.search("^the client .* this side's", at_server)


@pytest.mark.parametrize("name", BAD_CLIENTS)
def test_a_bad_client(name: str, ours: Ours) -> None:
    shown, told = BAD_CLIENTS[name]
    client, server = connect(context(False, shown, TRUSTED, level=0), server_context(ours.server))
    at_client, at_server = check_that_nothing_passes(client, server)
    assert at_server.startswith("the certificate of the client ")
    assert re.search(told, at_server)
    assert re.search(f"^the server '{HOST}' .* this side's", at_client)


@pytest.mark.parametrize("host", ["other.example", "sub.lab.example", "127.0.0.1", "192.168.1.6", "::1"])
def test_the_certificate_of_another_host(host: str, ours: Ours) -> None:
    shown = issue(replace(SERVER, subject=host, names=(x509.DNSName(HOST), ip("192.168.1.5"))), CA)
    client, server = connect(client_context(TLS(ca=ours.client.ca)), context(True, shown), host)
    at_client, _ = check_that_nothing_passes(client, server)
    assert re.search(f"^the certificate of the server '{host}' is not for this name", at_client)


def test_a_host_that_stands_in_the_subject_alone(ours: Ours) -> None:
    client, server = connect(
        client_context(TLS(ca=ours.client.ca)), context(True, issue(Order(subject=HOST, names=()), CA))
    )
    at_client, _ = check_that_nothing_passes(client, server)
    assert re.search("is not for this name", at_client)


def test_a_clients_certificate_at_a_server(ours: Ours) -> None:
    shown = issue(replace(SERVER, use=CLIENT), CA)
    client, server = connect(client_context(TLS(ca=ours.client.ca)), context(True, shown))
    at_client, at_server = check_that_nothing_passes(client, server)
    assert re.search("is not for this use: a server's must allow serverAuth", at_client)
    assert re.search("is not for this use: a server's must allow serverAuth", at_server)


def test_a_servers_certificate_at_a_client(ours: Ours) -> None:
    client, server = connect(context(False, SERVER_CERT, [CA]), server_context(ours.server))
    _, at_server = check_that_nothing_passes(client, server)
    assert re.search("is not for this use: .* a client's clientAuth", at_server)


def test_no_certificate_where_one_is_wanted(ours: Ours) -> None:
    client, server = connect(client_context(TLS(ca=ours.client.ca)), server_context(ours.server))
    at_client, at_server = check_that_nothing_passes(client, server)
    assert re.search("^the client gave no certificate, and this side wants one: set `cert` and `key` there", at_server)
    assert re.search(f"^the server '{HOST}' wants a certificate of this side: set `cert` and `key`", at_client)


def test_no_certificate_where_one_is_wanted_with_an_older_tls(ours: Ours) -> None:
    older = client_context(TLS(ca=ours.client.ca))
    older.maximum_version = older.minimum_version
    at_client, at_server = check_that_nothing_passes(*connect(older, server_context(ours.server)))
    assert re.search("gave no certificate", at_server)
    assert re.search("refuses this side: it may want a certificate", at_client)


def test_an_authority_that_was_removed_from_the_file(ours: Ours, tmp_path: Path) -> None:
    """So is revoked what it has signed, from the next start on."""
    assert settle(*connect(client_context(ours.client), server_context(ours.server))) == {}
    left = tmp_path / "left.pem"
    left.write_bytes(pem_of(OTHER_CA.certificate))
    client, server = connect(client_context(ours.client), server_context(replace(ours.server, ca=left)))
    _, at_server = check_that_nothing_passes(client, server)
    assert re.search("by an authority that is not (known|trusted) here", at_server)


def test_a_single_client_that_was_removed_from_the_file(ours: Ours, tmp_path: Path) -> None:
    """Where the file has the certificates of the clients themselves."""
    other = issue(replace(USER, names=(x509.DNSName("lab-2"),)), CA)
    listed = tmp_path / "clients.pem"
    strict = replace(ours.server, ca=listed)
    listed.write_bytes(USER_CERT.pem + other.pem)
    assert settle(*connect(client_context(ours.client), server_context(strict))) == {}
    listed.write_bytes(other.pem)
    client, server = connect(client_context(ours.client), server_context(strict))
    _, at_server = check_that_nothing_passes(client, server)
    assert re.search("by an authority that is not (known|trusted) here", at_server)


def test_sound_ones_pass(ours: Ours) -> None:
    """What the table above would refuse, were nothing wrong."""
    for level in (0, 2):
        whole_chain = with_chain(issue(SERVER, BETWEEN), BETWEEN)
        client, server = connect(client_context(ours.client), context(True, whole_chain, TRUSTED, level=level))
        assert settle(client, server) == {}
        assert (client.identity, server.identity) == (HOST, "lab-1")
        strong = issue(replace(USER, rsa_bits=2048), RSA_CA)
        client, server = connect(context(False, strong, TRUSTED, level=level), server_context(ours.server))
        assert settle(client, server) == {}
        assert server.identity == "lab-1"
