"""Certificates for development and for a network of one's own: an authority, and what it signs.

The authority is made once and kept; who has its key can be anybody to those who trust it. Keys are ECDSA P-256, in
files that only their owner can read. Needs the extra `tls`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sig.errors import InvalidArgument

# An authority is in the files of everybody who trusts it, and should not have to be replaced there.
MAX_DAYS: Final = 3650
# Clocks of small boards are late.
_EARLIER: Final = timedelta(days=1)

_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_MAIL: Final = re.compile(rf"[A-Za-z0-9_.+-]+@{_LABEL}(\.{_LABEL})*")
# The longest name that a subject can have; who it is stands in full in the alternative names.
_COMMON_NAME: Final = 64

_Key: TypeAlias = ec.EllipticCurvePrivateKey


class Pair(NamedTuple):
    """A certificate and its key, in files."""

    name: str
    cert: Path
    key: Path
    kept: bool = False
    """Whether it was there before."""


class Made(NamedTuple):
    """What is in a folder now."""

    authority: Pair
    server: Pair | None
    clients: tuple[Pair, ...]
    until: datetime
    """When the first of them expires."""


def make(folder: Path, hosts: Iterable[str] = (), clients: Iterable[str] = (), *, days: int) -> Made:
    """Make certificates in a folder, signed by the authority in it, which is made if there is none.

    Args:
        hosts: host names and IP addresses of the server, which gets one certificate for all of them.
        clients: who the clients are: names, or e-mail addresses. Each gets a certificate, in files of that name.
        days: how long they last, unless the authority ends sooner, which lasts ten years.

    Raises:
        InvalidArgument: a name that cannot be one, a folder that cannot be written, an authority that cannot sign.
    """
    if not 1 <= days <= MAX_DAYS:
        raise InvalidArgument(f"certificates cannot last {days} days: give 1 to {MAX_DAYS}")
    names = [_host(host) for host in hosts]
    users = {client: _user(client) for client in clients}
    now = datetime.now(UTC)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _Authority.open(folder, now)
        until = min(now + timedelta(days=days), authority.until)
        server = authority.sign("server", names, ExtendedKeyUsageOID.SERVER_AUTH, until) if names else None
        found = [authority.sign(user, [name], ExtendedKeyUsageOID.CLIENT_AUTH, until) for user, name in users.items()]
    except OSError as error:
        raise InvalidArgument(
            f"cannot make certificates in {str(folder)!r} ({error.strerror or error}): give a folder that you can write"
        ) from None
    return Made(authority.pair, server, tuple(found), until)


class _Authority:
    """Signs certificates."""

    def __init__(self, pair: Pair, certificate: x509.Certificate, key: _Key) -> None:
        self.pair = pair
        self.until: datetime = certificate.not_valid_after_utc
        self._certificate = certificate
        self._key = key

    @classmethod
    def open(cls, folder: Path, now: datetime) -> _Authority:
        """The authority of a folder."""
        pair = Pair("ca", folder / "ca.pem", folder / "ca.key")
        if not (pair.cert.exists() or pair.key.exists()):
            key = ec.generate_private_key(ec.SECP256R1())
            name = _subject(f"sig development CA {now:%Y-%m-%d %H:%M}")
            builder = _builder(name, name, key, now + timedelta(days=MAX_DAYS))
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            builder = builder.add_extension(_usage(authority=True), critical=True)
            certificate = builder.sign(key, hashes.SHA256())
            _save(pair, certificate, key)
            return cls(pair, certificate, key)
        certificate, key = _load(pair)
        if certificate.not_valid_after_utc <= now:
            raise InvalidArgument(
                f"the authority in {str(pair.cert)!r} has expired: remove {pair.cert.name} and {pair.key.name} to get "
                "a new one, and give everybody the new ca.pem"
            )
        return cls(pair._replace(kept=True), certificate, key)

    def sign(self, name: str, names: list[x509.GeneralName], use: x509.ObjectIdentifier, until: datetime) -> Pair:
        """A new certificate, for all these names and for one use."""
        pair = Pair(name, self.pair.cert.with_name(f"{name}.pem"), self.pair.cert.with_name(f"{name}.key"))
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_subject(str(names[0].value)), self._certificate.subject, key, until)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(authority=False), True),
            (x509.ExtendedKeyUsage([use]), False),
            (x509.SubjectAlternativeName(names), False),
            (issuer, False),
        ):
            builder = builder.add_extension(extension, critical)
        _save(pair, builder.sign(self._key, hashes.SHA256()), key)
        return pair


# -- what is in them -----------------------------------------------------------------------------


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise InvalidArgument(f"{host!r} is neither a host name nor an IP address: write it without scheme and port")
    return x509.DNSName(name)


def _user(client: str) -> x509.GeneralName:
    if client in ("ca", "server"):
        raise InvalidArgument(f"a client cannot be called {client!r}, as other files in the folder are: choose another")
    if _MAIL.fullmatch(client):
        return x509.RFC822Name(client)
    if not _HOST.fullmatch(client) or client.startswith("*"):
        raise InvalidArgument(
            f"{client!r} cannot be a client's name: take letters, digits, hyphens and dots, or an e-mail address"
        )
    return x509.DNSName(client)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME])])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key, until: datetime) -> x509.CertificateBuilder:
    """What every certificate has."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


# -- files ---------------------------------------------------------------------------------------


def _load(pair: Pair) -> tuple[x509.Certificate, _Key]:
    advice = f"bring the right {pair.cert.name} and {pair.key.name} back, or remove both to get a new authority"
    try:
        certificate = x509.load_pem_x509_certificate(pair.cert.read_bytes())
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    except FileNotFoundError as error:
        raise InvalidArgument(f"the authority is not whole, {error.filename!r} is missing: {advice}") from None
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"the authority in {str(pair.cert)!r} cannot be read ({error}): {advice}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InvalidArgument(f"{str(pair.key)!r} is not the key of {str(pair.cert)!r}: {advice}")
    return certificate, key


def _save(pair: Pair, certificate: x509.Certificate, key: _Key) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(pair.key, private, 0o600)
    _write(pair.cert, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    """In one piece or not at all, and never readable to others before it has its mode."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
