"""What the ends of a TLS link show and trust: one place that makes `ssl.SSLContext`, for all carriers.

TLS 1.2 or newer, with forward secrecy; keys and signatures of 112 bits of security or more; no session is resumed with
TLS 1.3; a client always checks the server's certificate and host name, unless `insecure=True` is spelled out.
"""

from __future__ import annotations

import dataclasses
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from sig.errors import InvalidArgument
from sig.log import logger

_File: TypeAlias = str | os.PathLike[str]

# What may stand behind the `?` of a URL. Not the password: URLs are shown and logged.
URL_OPTIONS: Final = ("ca", "cert", "client_certs", "insecure", "key")

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class TLS:
    """What one end of a `tls://` or `wss://` link shows and trusts. Files are in PEM.

    Args:
        cert: file of this end's certificate, with those between it and its authority behind it. A server needs one.
        key: file of its private key; without it, the key is in the file of the certificate.
        ca: file of the certificates that are trusted, of authorities or of single peers. At a client it takes the
            place of the system's; at a server it means that clients must show certificates too.
        password: of the file of the key, where that is encrypted.
        insecure: at a client, check nothing. Whoever is between the two can then read and change everything.
        client_certs: at a server with `ca`, whether clients may come without a certificate too.

    Raises:
        InvalidArgument: what cannot be right at any end. What is in the files is looked at when a link is wanted.
    """

    cert: _File | None = None
    key: _File | None = None
    ca: _File | None = None
    password: str | bytes | None = field(default=None, repr=False)
    insecure: bool = False
    client_certs: Literal["required", "optional"] = "required"

    def __post_init__(self) -> None:
        for name in ("cert", "key", "ca"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str | os.PathLike) and os.fspath(value)):
                raise InvalidArgument(f"{name}={value!r} of TLS is not the path of a file: give one")
        if not isinstance(self.insecure, bool):
            # Not taken by its truth: "false" is true.
            raise InvalidArgument(f"insecure={self.insecure!r} of TLS is neither True nor False")
        if self.client_certs not in ("required", "optional"):
            raise InvalidArgument(f"client_certs={self.client_certs!r} of TLS is neither 'required' nor 'optional'")
        if self.cert is None and (self.key is not None or self.password is not None):
            raise InvalidArgument("TLS has a key or a password and no certificate: give cert=... too")
        if self.insecure and self.ca is not None:
            raise InvalidArgument("TLS has both insecure=True and a ca, which would not be looked at: leave one out")


Given: TypeAlias = TLS | ssl.SSLContext | Mapping[str, Any] | None
"""What users may say for `tls=`."""


def server_context(given: Given, options: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """The context of a server; `options` are those of its URL. Raises `InvalidArgument`, with files read."""
    tls = _understood(given, options or {})
    if isinstance(tls, ssl.SSLContext):
        if tls.protocol is ssl.PROTOCOL_TLS_CLIENT:
            raise InvalidArgument("this SSLContext is for clients: make one for a server with PROTOCOL_TLS_SERVER")
        return tls
    if tls.insecure:
        raise InvalidArgument("insecure=True means nothing at a server: leave it out")
    if tls.cert is None:
        raise InvalidArgument("a server needs a certificate for TLS: give cert and key (`sig certs` makes some)")
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls)
    # Resuming saves little on links that last, and what is not there cannot be stolen.
    context.num_tickets = 0
    if tls.ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL if tls.client_certs == "optional" else ssl.CERT_REQUIRED
    return context


def client_context(given: Given, options: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """The context of a client, likewise. Logs a warning, each time, if it does not check who the server is."""
    tls = _understood(given, options or {})
    if isinstance(tls, ssl.SSLContext):
        if tls.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise InvalidArgument("this SSLContext is for servers: make one for a client with PROTOCOL_TLS_CLIENT")
        context = tls
    else:
        context = _context(ssl.PROTOCOL_TLS_CLIENT, tls)
        if tls.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        context.hostname_checks_common_name = False  # who it is stands in the alternative names
    if not context.check_hostname or context.verify_mode is not ssl.CERT_REQUIRED:
        logger.warning(
            "TLS does not check who the server is: whoever is between can read and change everything; "
            "give `ca`, the certificate that the server's is signed with"
        )
    return context


def _understood(given: Given, options: Mapping[str, str]) -> TLS | ssl.SSLContext:
    """What the user has said; what stands in the URL goes before."""
    if isinstance(given, ssl.SSLContext):
        if options:
            raise InvalidArgument(
                f"the URL has {', '.join(sorted(options))}, and tls= is a finished SSLContext: leave one of them out"
            )
        return given
    if given is None or isinstance(given, Mapping):
        given = _made(TLS(), given or {}, "tls=")
    elif not isinstance(given, TLS):
        raise InvalidArgument(f"tls={given!r} is no description of TLS: give sig.TLS(...), a dict or an SSLContext")
    return _made(given, {name: _value(name, text) for name, text in options.items()}, "the URL")


def _made(tls: TLS, fields: Mapping[str, Any], where: str) -> TLS:
    known = [each.name for each in dataclasses.fields(TLS)]
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise InvalidArgument(f"{where} has the unknown option {unknown[0]!r}: known are {', '.join(known)}")
    return dataclasses.replace(tls, **fields) if fields else tls


def _value(name: str, text: str) -> object:
    if name != "insecure":
        return text
    if text not in _TRUTH:
        raise InvalidArgument(f"insecure={text} is neither true nor false")
    return _TRUTH[text]


# -- files ---------------------------------------------------------------------------------------


def _context(protocol: int, tls: TLS) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    # What stands in `ca` is trusted, also where it is no root: a single certificate can be let in, and be left out.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.cert is not None:
        _load_own(context, tls, _path(tls.cert))
    if tls.ca is not None:
        path = _path(tls.ca)
        _look(path, "ca", b"CERTIFICATE-----", "certificate")
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise InvalidArgument(f"ca {path!r} cannot be read ({_reason(error)}): give certificates in PEM") from None
    return context


def _load_own(context: ssl.SSLContext, tls: TLS, cert: str) -> None:
    key = cert if tls.key is None else _path(tls.key)
    _look(cert, "cert", b"CERTIFICATE-----", "certificate")
    _look(key, "key", b"PRIVATE KEY-----", "private key")
    asked = False

    def password() -> str | bytes:
        # Without this OpenSSL would ask at the terminal.
        nonlocal asked
        asked = True
        return tls.password or ""

    try:
        context.load_cert_chain(cert, key, password)
    except (ssl.SSLError, ValueError) as error:
        if asked:
            advice = "it is encrypted: give its password" if tls.password is None else "the password is not its own"
            raise InvalidArgument(f"key {key!r} cannot be read, {advice}") from None
        raise _unfit(cert, key, error) from None


def _unfit(cert: str, key: str, error: Exception) -> InvalidArgument:
    """Why a certificate and its key are of no use."""
    reason = _reason(error)
    if reason == "KEY_VALUES_MISMATCH":
        return InvalidArgument(f"key {key!r} is not that of the certificate {cert!r}: give the one it was made with")
    if reason.endswith("KEY_TOO_SMALL"):
        return InvalidArgument(f"cert {cert!r} has a key that is too weak: use ECDSA P-256, or RSA with 2048 bits")
    if reason.endswith("MD_TOO_WEAK"):
        return InvalidArgument(f"cert {cert!r} has a signature that is too weak, such as SHA-1: sign it with SHA-256")
    return InvalidArgument(f"cert {cert!r} and key {key!r} cannot be read ({reason}): give both in PEM")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)


def _path(given: _File) -> str:
    return os.path.expanduser(os.fspath(given))


def _look(path: str, name: str, mark: bytes, what: str) -> None:
    """Whether a file can be read and looks like what it should be: OpenSSL does not say which file it did not like."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise InvalidArgument(
            f"{name} {path!r} cannot be read ({error.strerror or error}): give a file that this program may read"
        ) from None
    if mark not in text:
        raise InvalidArgument(f"{name} {path!r} has no {what} in PEM, which begins with -----BEGIN: give one that has")
