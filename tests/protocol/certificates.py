"""Certificates that no sensible tool makes, and ends of TLS that show them: two real layers and nothing between."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sig.errors import SigError
from sig.protocol.tls import TLSLayer

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
HOST = "lab.example"


@dataclass(frozen=True)
class Order:
    """What a certificate is to be like."""

    subject: str = "somebody"
    names: tuple[x509.GeneralName, ...] = (x509.DNSName(HOST),)
    use: x509.ObjectIdentifier | None = SERVER
    authority: bool = False
    path_length: int | None = None
    begins: datetime = NOW - DAY
    ends: datetime = NOW + DAY
    rsa_bits: int = 0


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and what is sent with it."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        return b"".join(pem_of(each) for each in (self.certificate, *self.chain))

    @property
    def key_pem(self) -> bytes:
        kind = serialization.PrivateFormat.PKCS8
        return bytes(self.key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def issue(order: Order, by: Issued | None = None) -> Issued:
    """What was ordered, signed by `by`, or by itself."""
    key: Any = ec.generate_private_key(ec.SECP256R1())
    if order.rsa_bits:
        key = rsa.generate_private_key(65537, order.rsa_bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, order.subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(order.begins)
        .not_valid_after(order.ends)
        .add_extension(x509.BasicConstraints(order.authority, order.path_length), critical=True)
    )
    if order.use is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([order.use]), critical=False)
    if order.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(order.names), critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def authority(subject: str = "an authority", **more: Any) -> Issued:
    return issue(replace(Order(subject, (), None, authority=True), **more))


def below(issuer: Issued, **more: Any) -> Issued:
    """A sound certificate of a server, but for what is said."""
    return issue(replace(Order(), **more), issuer)


def signed_with_sha1(order: Order, by: Issued) -> Issued:
    """The same with a signature that nobody should make any more, by an RSA key: what libraries refuse to do."""
    sha256_rsa, sha1_rsa = (bytes.fromhex("2a864886f70d0101" + last) for last in ("0b", "05"))
    sound = issue(order, by)
    content = sound.certificate.tbs_certificate_bytes.replace(sha256_rsa, sha1_rsa)
    signature = by.key.sign(content, padding.PKCS1v15(), hashes.SHA1())
    whole = sound.certificate.public_bytes(serialization.Encoding.DER).replace(sha256_rsa, sha1_rsa)
    return Issued(x509.load_der_x509_certificate(whole.replace(sound.certificate.signature, signature)), sound.key)


def ip(address: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(address))


# -- ends ----------------------------------------------------------------------------------------


def context(
    server_side: bool, own: Issued | None = None, trusted: Iterable[Issued] | None = None, level: int = 2
) -> ssl.SSLContext:
    """A context as those of sig.carriers.contexts; with level 0, one that takes anything of its own."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    made.set_ciphers(f"DEFAULT@SECLEVEL={level}")
    if server_side:
        made.num_tickets = 0
    if own is not None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "cert").write_bytes(own.pem)
            Path(folder, "key").write_bytes(own.key_pem)
            made.load_cert_chain(Path(folder, "cert"), Path(folder, "key"))
    if trusted is not None:
        made.load_verify_locations(cadata="".join(pem_of(each.certificate).decode() for each in trusted))
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def connect(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> tuple[TLSLayer, TLSLayer]:
    """Two ends; nothing has passed yet."""
    return TLSLayer(client, server_side=False, server_hostname=host), TLSLayer(server, server_side=True)


def carry(source: TLSLayer, target: TLSLayer) -> bytes:
    return target.receive(source.data_to_send(), 0.0)


def settle(client: TLSLayer, server: TLSLayer) -> dict[str, SigError]:
    """Carry everything both ways until nothing is left; returns what each end has found wrong."""
    errors: dict[str, SigError] = {}
    quiet = 0
    while quiet < 2:
        quiet += 1
        for name, source, target in (("server", client, server), ("client", server, client)):
            if data := source.data_to_send():
                quiet = 0
                try:
                    target.receive(data, 0.0)
                except SigError as error:
                    errors.setdefault(name, error)
    return errors


# -- what many tests need ------------------------------------------------------------------------

CA = authority()
SERVER_CERT = below(CA)
USER_CERT = below(CA, use=CLIENT, names=(x509.DNSName("lab-1"),))
