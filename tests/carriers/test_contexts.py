"""What the ends of a TLS link show and trust: from files to contexts, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from protocol.certificates import (
    CA,
    HOST,
    SERVER_CERT,
    USER_CERT,
    Issued,
    Order,
    authority,
    below,
    connect,
    settle,
    signed_with_sha1,
)

from sig.carriers.contexts import TLS, URL_OPTIONS, client_context, server_context
from sig.errors import InvalidArgument

Write = Callable[[str, bytes], str]
BOTH = pytest.mark.parametrize("make", [server_context, client_context])


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return written


@pytest.fixture
def server(write: Write) -> TLS:
    """What a sound server shows."""
    return TLS(cert=write("server.pem", SERVER_CERT.pem), key=write("server.key", SERVER_CERT.key_pem))


@pytest.fixture
def user(write: Write) -> TLS:
    """What a sound client shows and trusts."""
    ca = write("ca.pem", CA.pem)
    return TLS(cert=write("user.pem", USER_CERT.pem), key=write("user.key", USER_CERT.key_pem), ca=ca)


def met(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> tuple[str | None, str | None]:
    """Who the two are to each other."""
    ends = connect(client, server, host)
    assert settle(*ends) == {}
    return ends[0].identity, ends[1].identity


# -- what is right -------------------------------------------------------------------------------


def test_a_server_and_a_client_that_knows_its_authority(server: TLS, user: TLS) -> None:
    assert met(client_context(TLS(ca=user.ca)), server_context(server)) == (HOST, None)
    assert met(client_context(user), server_context(server)) == (HOST, None)


def test_a_server_with_a_ca_wants_certificates(server: TLS, user: TLS) -> None:
    mutual = server_context(dataclasses.replace(server, ca=user.ca))
    assert met(client_context(user), mutual) == (HOST, "lab-1")
    errors = settle(*connect(client_context(TLS(ca=user.ca)), mutual))
    assert "gave no certificate, and this side wants one" in str(errors["server"])


def test_a_server_may_let_others_in_too(server: TLS, user: TLS) -> None:
    lenient = server_context(dataclasses.replace(server, ca=user.ca, client_certs="optional"))
    assert met(client_context(user), lenient) == (HOST, "lab-1")
    assert met(client_context(TLS(ca=user.ca)), lenient) == (HOST, None)
    stranger = client_context(TLS(ca=user.ca))
    stranger.load_cert_chain(*written_pair(user, below(authority("a stranger"))))
    assert "authority" in str(settle(*connect(stranger, lenient))["server"])


def written_pair(near: TLS, issued: Issued) -> tuple[Path, Path]:
    folder = Path(str(near.cert)).parent
    cert, key = folder / "other.pem", folder / "other.key"
    cert.write_bytes(issued.pem)
    key.write_bytes(issued.key_pem)
    return cert, key


def test_a_single_certificate_can_be_trusted(server: TLS, user: TLS) -> None:
    """Without its authority: so one client can be let in, and be left out again."""
    assert met(client_context(TLS(ca=server.cert)), server_context(server)) == (HOST, None)
    only = server_context(dataclasses.replace(server, ca=user.cert))
    assert met(client_context(user), only) == (HOST, "lab-1")


def test_a_key_may_be_in_the_file_of_the_certificate(user: TLS, write: Write) -> None:
    both = TLS(cert=write("both.pem", SERVER_CERT.key_pem + SERVER_CERT.pem))
    assert met(client_context(user), server_context(both)) == (HOST, None)


@pytest.mark.parametrize("password", ["geheim", b"geheim"], ids=["text", "bytes"])
def test_an_encrypted_key(server: TLS, user: TLS, write: Write, password: str | bytes) -> None:
    secret = dataclasses.replace(server, key=write("encrypted.key", encrypted(SERVER_CERT)), password=password)
    assert met(client_context(user), server_context(secret)) == (HOST, None)
    assert "geheim" not in repr(secret)


def encrypted(issued: Issued) -> bytes:
    how = serialization.BestAvailableEncryption(b"geheim")
    kind = serialization.PrivateFormat.PKCS8
    return bytes(issued.key.private_bytes(serialization.Encoding.PEM, kind, how))


def test_paths_and_the_home_folder(server: TLS, user: TLS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = TLS(cert=Path(str(server.cert)), key="~/server.key")
    assert met(client_context({"ca": "~/ca.pem"}), server_context(at_home)) == (HOST, None)


def test_a_dict_and_the_options_of_a_url_say_the_same(server: TLS, user: TLS) -> None:
    fields = {"cert": str(server.cert), "key": str(server.key)}
    for made in (server_context(fields), server_context(None, fields), server_context({"cert": "/none"}, fields)):
        assert met(client_context(None, {"ca": str(user.ca)}), made) == (HOST, None)
    assert "password" not in URL_OPTIONS
    assert {*URL_OPTIONS, "password"} == {field.name for field in dataclasses.fields(TLS)}


def test_a_finished_context_is_taken_as_it_is() -> None:
    for make, protocol in ((server_context, ssl.PROTOCOL_TLS_SERVER), (client_context, ssl.PROTOCOL_TLS_CLIENT)):
        own = ssl.SSLContext(protocol)
        assert make(own) is own


def test_what_is_always_so(server: TLS, user: TLS) -> None:
    for made in (server_context(server), client_context(user), client_context(None)):
        assert made.minimum_version is ssl.TLSVersion.TLSv1_2
        assert made.security_level == 2
        assert made.options & ssl.OP_NO_RENEGOTIATION
        assert all(cipher["name"].startswith(("ECDHE-", "TLS_")) for cipher in made.get_ciphers())
    assert server_context(server).num_tickets == 0


def test_without_a_ca_the_systems_authorities_are_trusted(
    server: TLS, user: TLS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with one they are not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(user.ca))
    assert met(client_context(None), server_context(server)) == (HOST, None)
    other = written_pair(user, authority("another"))[0]
    errors = settle(*connect(client_context(TLS(ca=other)), server_context(server)))
    assert "authority" in str(errors["client"])


# -- not checking --------------------------------------------------------------------------------


def test_insecure_trusts_anybody_and_says_so_each_time(server: TLS, caplog: pytest.LogCaptureFixture) -> None:
    for given, options in ((TLS(insecure=True), {}), (None, {"insecure": "true"})):
        caplog.clear()
        assert met(client_context(given, options), server_context(server), "any.example") == (None, None)
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("sig", logging.WARNING)
        assert "whoever is between can read and change everything" in record.getMessage()


def test_a_finished_context_that_does_not_check_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own.check_hostname = False
    client_context(own)
    assert "TLS does not check who the server is" in caplog.text


def test_who_checks_is_not_warned(user: TLS, server: TLS, caplog: pytest.LogCaptureFixture) -> None:
    client_context(user)
    client_context(None, {"insecure": "false"})
    client_context(ssl.create_default_context())
    server_context(server)
    assert caplog.text == ""


# -- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cert": 1}, "cert=1 of TLS is not the path of a file"),
        ({"cert": ""}, "cert='' of TLS is not the path of a file"),
        ({"ca": b"ca.pem"}, "ca=b'ca.pem' of TLS is not the path"),
        ({"key": "k"}, "a key or a password and no certificate: give cert="),
        ({"password": "p"}, "a key or a password and no certificate: give cert="),
        ({"insecure": "false"}, "insecure='false' of TLS is neither True nor False"),
        ({"client_certs": "no"}, "client_certs='no' of TLS is neither 'required' nor 'optional'"),
        ({"insecure": True, "ca": "ca.pem"}, "both insecure=True and a ca"),
    ],
)
def test_what_can_be_right_nowhere(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        TLS(**fields)
    with pytest.raises(InvalidArgument, match=told):
        client_context(fields)


@BOTH
@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (1, {}, "tls=1 is no description of TLS: give sig.TLS"),
        ({"certificate": "x"}, {}, "tls= has the unknown option 'certificate': known are cert, key, ca"),
        (None, {"certificate": "x"}, "the URL has the unknown option 'certificate'"),
        (None, {"insecure": "yes"}, "insecure=yes is neither true nor false"),
        (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            {"ca": "x", "key": "y"},
            "the URL has ca, key, and tls= is a finished",
        ),
    ],
)
def test_what_cannot_be_understood(make: Any, given: Any, options: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        make(given, options)


def test_contexts_at_the_wrong_end() -> None:
    with pytest.raises(InvalidArgument, match="is for clients: make one for a server with PROTOCOL_TLS_SERVER"):
        server_context(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(InvalidArgument, match="is for servers: make one for a client with PROTOCOL_TLS_CLIENT"):
        client_context(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_what_a_server_needs() -> None:
    with pytest.raises(InvalidArgument, match="a server needs a certificate for TLS: give cert and key .`sig certs`"):
        server_context(None)
    with pytest.raises(InvalidArgument, match="insecure=True means nothing at a server"):
        server_context(TLS(insecure=True))


@BOTH
@pytest.mark.parametrize("name", ["cert", "key", "ca"])
@pytest.mark.parametrize("what", ["missing", "a folder", "unreadable", "empty", "something else"])
def test_files_that_are_of_no_use(make: Any, name: str, what: str, server: TLS, user: TLS, tmp_path: Path) -> None:
    path = tmp_path / "given"
    told = "cannot be read .*: give a file that this program may read"
    if what == "a folder":
        path.mkdir()
    elif what == "unreadable":
        if os.geteuid() == 0:
            path.symlink_to(path)  # root reads anything but a loop
        else:
            path.touch(0)
    elif what != "missing":
        told = f"has no {'private key' if name == 'key' else 'certificate'} in PEM"
        path.write_bytes(b"" if what == "empty" else b"-----BEGIN X509 CRL-----\n")
    tls = dataclasses.replace(server, ca=user.ca)
    changed: dict[str, Any] = {name: path}
    with pytest.raises(InvalidArgument, match=f"^{name} '{path}' {told}"):
        make(dataclasses.replace(tls, **changed))


def test_a_key_that_is_not_that_of_the_certificate(server: TLS, user: TLS) -> None:
    with pytest.raises(InvalidArgument, match="user.key' is not that of the certificate .*server.pem'"):
        server_context(dataclasses.replace(server, key=user.key))


def test_an_encrypted_key_without_its_password(server: TLS, write: Write) -> None:
    """Nobody is asked at the terminal."""
    key = write("encrypted.key", encrypted(SERVER_CERT))
    with pytest.raises(InvalidArgument, match="encrypted.key' cannot be read, it is encrypted: give its password"):
        server_context(dataclasses.replace(server, key=key))
    for wrong in ("falsch", "f" * 2000):
        with pytest.raises(InvalidArgument, match="encrypted.key' cannot be read, the password is not its own") as told:
            server_context(dataclasses.replace(server, key=key, password=wrong))
        assert wrong not in str(told.value)


def test_files_with_nonsense_in_them(server: TLS, user: TLS, write: Write) -> None:
    spoilt = write("spoilt.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(InvalidArgument, match="cert .*spoilt.pem' and key .* cannot be read .*: give both in PEM"):
        server_context(dataclasses.replace(server, cert=spoilt))
    with pytest.raises(InvalidArgument, match="ca .*spoilt.pem' cannot be read .*: give certificates in PEM"):
        client_context(TLS(ca=spoilt))


def test_weak_certificates_are_not_shown(user: TLS) -> None:
    cert, key = written_pair(user, below(CA, rsa_bits=1024))
    with pytest.raises(InvalidArgument, match="other.pem' has a key that is too weak: use ECDSA"):
        server_context(TLS(cert=cert, key=key))
    old = authority("an old one", rsa_bits=2048)
    cert, key = written_pair(user, signed_with_sha1(Order(), old))
    with pytest.raises(InvalidArgument, match="other.pem' has a signature that is too weak, such as SHA-1"):
        server_context(TLS(cert=cert, key=key))
