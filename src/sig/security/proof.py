"""Proving that one has a token or a password, without saying it.

A server keeps `verifier(key)` alone. It sends a nonce of its own; the client answers with its nonce, and with its key
hidden by a signature that only who knows the verifier can take off again (as SCRAM, RFC 5802, does). Who listens on the
line learns nothing that helps later, and who steals the server's file cannot log in with what stands there.

    key         HMAC-SHA-256(token's 32 bytes, or scrypt of the password; "sig login key")
    verifier    SHA-256(key)
    transcript  u16 length, bytes of each: "sig login 1", the login, the server's nonce, the client's nonce
    proof       key XOR HMAC-SHA-256(verifier; transcript)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from typing import Final, NamedTuple

from sig.errors import Denied, InvalidArgument
from sig.security.secret import Secret

NONCE_BYTES: Final = 32
KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
ID_BYTES: Final = 8
_PURPOSE: Final = b"sig login key"
_TRANSCRIPT: Final = b"sig login 1"
_TOKEN: Final = re.compile(r"sig1-([0-9a-f]{16})-([A-Za-z0-9_-]{43})\Z")


class Cost(NamedTuple):
    """What scrypt takes: memory is 128 times `n` times `r` bytes."""

    n: int = 2**15
    r: int = 8
    p: int = 1

    @property
    def sane(self) -> bool:
        """Neither so cheap that the password could be guessed by whoever asks, nor so dear that asking is an attack."""
        power = self.n & (self.n - 1) == 0
        return power and 2**14 <= self.n <= 2**17 and 8 <= self.r <= 16 and 1 <= self.p <= 4


class Token(NamedTuple):
    """A token, taken apart: `id` is no secret, and tells the server which one it is."""

    id: str
    secret: Secret


def make_token(id: bytes, secret: bytes) -> tuple[str, Token]:
    """The text of a token, for its owner alone, and its parts; both arguments are random, of 8 and of 32 bytes."""
    text = f"sig1-{id.hex()}-{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"
    return text, read_token(text)


def read_token(text: str) -> Token:
    """Raises `InvalidArgument` for what is no token; the text is not shown."""
    found = _TOKEN.match(text.strip())
    if found is None:
        raise InvalidArgument("this is no token: it must be as `sig token` printed it, sig1-...-..., in one piece")
    return Token(found[1], Secret(base64.urlsafe_b64decode(found[2] + "=")))


def token_key(token: Token) -> Secret:
    """The key of a token. It is random, so nothing need make guessing slow."""
    return Secret(hmac.digest(token.secret.reveal(), _PURPOSE, "sha256"))


def password_key(password: Secret, salt: bytes, cost: Cost) -> Secret:
    """The key of a password. Takes about a tenth of a second: not for a loop.

    Raises:
        Denied: a server wants a cost that no honest one would.
    """
    if not cost.sane:
        raise Denied(f"the server wants passwords hashed with n={cost.n}, r={cost.r}, p={cost.p}: that is not safe")
    hashed = hashlib.scrypt(
        password.reveal(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=256 * cost.n * cost.r, dklen=KEY_BYTES
    )
    return Secret(hmac.digest(hashed, _PURPOSE, "sha256"))


def verifier(key: Secret) -> bytes:
    """What a server keeps."""
    return hashlib.sha256(key.reveal()).digest()


def transcript(login: str, server_nonce: bytes, client_nonce: bytes) -> bytes:
    """What a proof is about: this login and no other."""
    return b"".join(
        struct.pack("<H", len(part)) + part for part in (_TRANSCRIPT, login.encode(), server_nonce, client_nonce)
    )


def prove(key: Secret, about: bytes) -> bytes:
    """The proof, for a server that has the verifier of this key."""
    return _xor(key.reveal(), hmac.digest(verifier(key), about, "sha256"))


def holds(proof: bytes, known: bytes, about: bytes) -> bool:
    """Whether whoever sent that proof has the key of that verifier."""
    if len(proof) != KEY_BYTES:
        return False
    key = _xor(proof, hmac.digest(known, about, "sha256"))
    return hmac.compare_digest(hashlib.sha256(key).digest(), known)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
