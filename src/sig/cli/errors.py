"""What goes wrong, as exit codes and single sentences."""

from __future__ import annotations

from typing import Final

from sig.errors import (
    ConnectFailed,
    ConnectionLost,
    Denied,
    InvalidArgument,
    MethodNotFound,
    RemoteError,
    RequestFailed,
    RequestsNotSupported,
    RequestTimeout,
    SenderNotConnected,
    SigError,
)

ANSWERED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_CONNECTED: Final = 3
TIMEOUT: Final = 4
DENIED: Final = 5

# The first that fits.
_CODES: Final[tuple[tuple[type[SigError], int], ...]] = (
    (RequestTimeout, TIMEOUT),
    (Denied, DENIED),
    (ConnectFailed, NOT_CONNECTED),
    (ConnectionLost, NOT_CONNECTED),
    (SenderNotConnected, NOT_CONNECTED),
    (InvalidArgument, USAGE),
    (MethodNotFound, USAGE),
    (RequestsNotSupported, USAGE),
)


def exit_code(error: SigError) -> int:
    """The exit code that tells a program what a person reads in the sentence."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def sentence(error: SigError) -> str:
    """One sentence for people."""
    if isinstance(error, RemoteError):
        return f"the handler failed: {error}"
    if isinstance(error, RequestFailed) and error.code:
        return f"the handler refused ({error.code}): {error}"
    return str(error)
