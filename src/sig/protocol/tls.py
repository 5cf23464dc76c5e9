"""TLS as a layer: what a peer sends is encrypted, and each end knows who the other is.

Sans-I/O: OpenSSL works between two buffers in memory. What it is to trust stands in the `ssl.SSLContext` that it is
given (`carriers/contexts.py`); what it finds wrong becomes one sentence that says which thing it is, and what to do.
No session is resumed, and nothing here knows a deadline: handshakes are timed with the peer's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from ssl import (
    MemoryBIO,
    SSLCertVerificationError,
    SSLContext,
    SSLError,
    SSLObject,
    SSLWantReadError,
    SSLZeroReturnError,
    cert_time_to_seconds,
)
from typing import Any, Final

from sig.errors import HandshakeRefused, InvalidArgument, RemoteProtocolError, SigError

# The content of one record: OpenSSL returns no more at once.
_RECORD: Final = 16 * 1024
# What OpenSSL encrypts at once: its buffer is emptied in between, for growing it costs more than encrypting does.
_PIECE: Final = 64 * 1024

# How a stream of TLS begins, at either end.
_BEGINNINGS: Final = (0x15, 0x16)
# A fatal alert, "unexpected message": a peer of ours that speaks no TLS tells from it that we do.
_ALERT: Final = b"\x15\x03\x01\x00\x02\x02\x0a"

# The kinds of names in a certificate that say who its owner is, the first that is there; an IP address only says where.
_NAMES: Final = ("DNS", "URI", "email")


class TLSLayer:
    """One end of TLS. Implements `Layer`; a client has something in `data_to_send` as soon as it is made.

    Args:
        context: what is trusted, and the own certificate.
        server_side: whether this is the end that was connected to.
        server_hostname: the name or IP address that a client connects to, which the certificate must be for.

    Raises:
        InvalidArgument: what cannot be a host name.
        HandshakeRefused: a client's context with which nothing can even begin.
    """

    def __init__(self, context: SSLContext, *, server_side: bool, server_hostname: str | None = None) -> None:
        self._incoming = MemoryBIO()
        self._outgoing = MemoryBIO()
        try:
            self._tls: SSLObject = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        except ValueError as error:
            raise InvalidArgument(
                f"{server_hostname!r} is no name that a certificate could be for ({error}): give the server's host name"
            ) from None
        self._them = "the client" if server_side else f"the server {server_hostname!r}"
        self._server_side = server_side
        self._host = server_hostname if context.check_hostname else None
        self._identity: str | None = None
        self.expires: float = inf
        """When the certificate of the other end does, in seconds since 1970; nothing ends by itself then."""
        self._begun = False  # the other end has said anything
        self._open = False  # the handshake is complete
        self._heard = False  # data of the other end's peer has come
        self._ending = False  # `close` was called
        self._closed = False
        self._failure: SigError | None = None
        self._waiting: deque[memoryview] = deque()
        self._held = 0
        self._ready: list[bytes] = []  # to leave before what is in `_outgoing`
        self._arrived: list[bytes] = []
        if not server_side:
            self._run(self._advance)
            if self._failure is not None:
                raise self._failure

    @property
    def held(self) -> int:
        return self._held

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def identity(self) -> str | None:
        """Who the other end has proved to be; `None` before the handshake is complete.

        Of the server: the host name that its certificate was checked for. Of a client: the first DNS name in its
        certificate (subject alternative names only), else the first URI, else the first e-mail address.
        """
        return self._identity

    def receive(self, data: bytes | memoryview, now: float) -> bytes:
        """As in `Layer`. What came before the fault is returned first: then `next_deadline` is due, and raises."""
        if self._failure is not None:
            raise self._failure
        if self._closed:
            return b""
        if len(data) and not self._begun:
            self._begun = True
            if data[0] not in _BEGINNINGS:
                self._outgoing.write(_ALERT)
                raise self._fail(
                    f"{self._them} speaks no TLS: it began with {bytes(data[:8])!r}; use tls:// on both sides, or on "
                    "neither"
                )
        self._incoming.write(data)
        self._run(self._advance)
        if self._ending:
            self._shut()
        found, self._arrived = b"".join(self._arrived), []
        if found:
            self._heard = True
        elif self._failure is not None:
            raise self._failure
        return found

    def send(self, data: bytes, now: float) -> None:
        """As in `Layer`. What comes after `close`, or after a fault, goes nowhere."""
        if data and not self._ending and self._failure is None:
            self._waiting.append(memoryview(data))
            self._held += len(data)
            if self._open:
                self._run(self._write)

    def close(self, now: float) -> None:
        if not self._ending:
            self._ending = True
            self._shut()

    def data_to_send(self) -> bytes:
        ready, self._ready = [*self._ready, self._outgoing.read()], []
        return b"".join(ready)

    def next_deadline(self) -> float | None:
        return None if self._failure is None else 0.0

    def handle_timeout(self, now: float) -> None:
        if self._failure is not None:
            raise self._failure

    # With OpenSSL

    def _run(self, step: Callable[[], object]) -> None:
        """Let it do something, as far as it can without more from the other end."""
        try:
            step()
        except SSLWantReadError:
            pass
        except SSLZeroReturnError:
            self._closed = True
        except SSLError as error:
            self._fail(_sentence(error, self._them), error)

    def _advance(self) -> None:
        if not self._open:
            self._tls.do_handshake()
            self._open = True
            certificate: Any = self._tls.getpeercert() or {}  # empty where it was not checked
            self._identity = self._host or _name_in(certificate)
            if certificate:
                self.expires = float(cert_time_to_seconds(certificate["notAfter"]))
        self._write()
        while part := self._tls.read(_RECORD):
            self._arrived.append(part)
        self._closed = True

    def _write(self) -> None:
        while self._waiting:
            rest = self._waiting[0]
            written = self._tls.write(rest[:_PIECE])
            self._held -= written
            self._waiting[0] = rest = rest[written:]
            if rest:
                self._ready.append(self._outgoing.read())
            else:
                self._waiting.popleft()

    def _shut(self) -> None:
        """Say that nothing more will come, once all is said. What came is read: what OpenSSL looks for is the end."""
        if self._open and self._failure is None:
            self._run(self._tls.unwrap)

    def _fail(self, sentence: str, cause: BaseException | None = None) -> SigError:
        """Of no use any more. A client that has not heard anything yet was not let in, whoever refused whom."""
        kind = RemoteProtocolError if self._server_side or self._heard or self._arrived else HandshakeRefused
        self._failure = kind(sentence)
        self._failure.__cause__ = cause
        self._waiting.clear()
        self._held = 0
        return self._failure


def _name_in(certificate: Any) -> str | None:
    """Whose certificate it is; nobody's for one that was not checked, which is empty."""
    names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    return next((name for wanted in _NAMES for kind, name in names if kind == wanted and name), None)


# -- sentences -----------------------------------------------------------------------------------

_UNKNOWN: Final = (
    "was signed by an authority that is not known here, or an intermediate certificate is missing: give the "
    "authority's certificate as `ca`, and let the other side send its whole chain"
)
_NOT_FOR_HOST: Final = "is not for this name: connect by one that stands in it, or make one for this name"
_WRONG_USE: Final = "is not for this use: a server's must allow serverAuth, and a client's clientAuth"
_NO_AUTHORITY: Final = "was signed with one that is no authority's: sign with a certificate that has CA:TRUE"

# What OpenSSL finds wrong with a certificate, by its numbers; the rest is told in OpenSSL's own words.
_WRONG: Final[dict[int, str]] = {
    2: _UNKNOWN,
    7: "has a signature that is not its issuer's: it was changed, or an authority with the same name signed it",
    9: "is not valid yet: set the clock of this machine, or wait",
    10: "has expired: renew it",
    18: "is self-signed: have an authority sign it, or give this very certificate as `ca`",
    19: "was signed by an authority that is not trusted here: give the authority's certificate as `ca`",
    20: _UNKNOWN,
    21: _UNKNOWN,
    23: "was revoked: get a new one",
    24: _NO_AUTHORITY,
    26: _WRONG_USE,
    32: _NO_AUTHORITY,
    62: _NOT_FOR_HOST,
    64: _NOT_FOR_HOST,
    66: "has a key that is too weak: use ECDSA P-256, or RSA with 2048 bits or more",
    67: "was signed by an authority whose key is too weak: use ECDSA P-256, or RSA with 2048 bits or more",
    68: "has a signature that is too weak, such as one with SHA-1: sign with SHA-256",
    79: _NO_AUTHORITY,  # 24 in OpenSSL 1.1
}

_NO_VERSION: Final = "and this side have no version of TLS in common: update the older of the two to TLS 1.2 or newer"
_NO_CERTIFICATE: Final = "gave no certificate, and this side wants one: set `cert` and `key` there"
_NO_CIPHER: Final = "and this side have no way to encrypt in common: update the older of the two"
_NONSENSE: Final = "does not speak TLS as it should: look at what stands between the two"

# What OpenSSL finds wrong with the rest of what the other end says.
_REASONS: Final[dict[str, str]] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": _NO_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "VERSION_TOO_LOW": _NO_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _NO_VERSION,
    "NO_SHARED_CIPHER": _NO_CIPHER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _NO_CIPHER,
    "WRONG_VERSION_NUMBER": _NONSENSE,
}

# What the other end finds wrong with us: how its alert is called, without what differs between versions of OpenSSL.
_ALERTS: Final[dict[str, str]] = {
    "CERTIFICATE_REQUIRED": "wants a certificate of this side: set `cert` and `key`",
    "HANDSHAKE_FAILURE": "refuses this side: it may want a certificate (set `cert` and `key`), or a newer TLS",
    "UNKNOWN_CA": "does not know the authority of this side's certificate: that must be in its `ca`",
    "CERTIFICATE_EXPIRED": "finds this side's certificate expired: renew it, or set the clock there",
    "CERTIFICATE_REVOKED": "finds this side's certificate revoked: get a new one",
    "BAD_CERTIFICATE": "does not accept this side's certificate: it may be not valid yet, too weak or for another name",
    "UNSUPPORTED_CERTIFICATE": f"does not accept this side's certificate: it {_WRONG_USE}",
    "CERTIFICATE_UNKNOWN": "does not accept this side's certificate: look there for the reason",
    "PROTOCOL_VERSION": _NO_VERSION,
    "INSUFFICIENT_SECURITY": _NO_CIPHER,
    "DECRYPT_ERROR": "finds a signature of this side's wrong: was its certificate signed by another authority?",
    "UNEXPECTED_MESSAGE": "does not expect TLS: use tls:// on both sides, or on neither",
}


def _sentence(error: SSLError, them: str) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, SSLCertVerificationError):
        return f"the certificate of {them} {_WRONG.get(error.verify_code) or f'is refused: {error.verify_message}'}"
    reason = error.reason or str(error)
    _, alert, name = reason.rpartition("ALERT_")
    known = _ALERTS.get(name) if alert else _REASONS.get(reason)
    told = reason.replace("_", " ").lower()
    return f"{them} {known}" if known else f"{them} cannot be talked to over TLS: OpenSSL says {told!r}"
