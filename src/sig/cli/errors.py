"""What goes wrong, as exit codes and single sentences that say what to do."""

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
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
)

ANSWERED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_CONNECTED: Final = 3
TIMEOUT: Final = 4
DENIED: Final = 5
# 128 + SIGINT, as shells count.
INTERRUPTED: Final = 130

# The first that fits; the rest has failed.
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

# What one can do, where the library's own sentence cannot know that it is read in a shell.
_ADVICE: Final[tuple[tuple[type[SigError], str], ...]] = (
    (RequestTimeout, "--timeout gives it longer"),
    (SenderNotConnected, "`sig senders` lists who is"),
    (SenderAlreadyConnected, "use another name, or stop who holds it"),
    (MethodNotFound, "`sig senders {error.sender}` lists those it has"),
    (RequestsNotSupported, "`sig senders` lists who does"),
)


def exit_code(error: SigError) -> int:
    """The exit code that tells a program what a person reads in the sentence."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def sentence(error: SigError) -> str:
    """One sentence for people."""
    if isinstance(error, RemoteError):
        return f"the handler failed: {error}"
    if isinstance(error, RequestFailed):
        return f"the handler refused ({error.code}): {error}" if error.code else f"the handler refused: {error}"
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    return str(error) if advice is None else f"{error}; {advice.format(error=error)}"
