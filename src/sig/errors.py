"""What can go wrong, one class for each thing that a caller can do differently.

    SigError
      InvalidArgument (ValueError)
        InvalidName
        InvalidData
        MessageTooBig
      UnknownEvent (LookupError)
      SenderAlreadyConnected (NameError)
      SenderNotConnected (NameError)
      MethodNotFound (LookupError)
      RequestsNotSupported (LookupError)
      RequestFailed
        RemoteError
      RequestTimeout (TimeoutError)
      RequestCancelled
      LoopDetected
      Overloaded
      Denied (PermissionError)
      WouldDeadlock
      Closed (RuntimeError)
      ConnectionLost (ConnectionError)
      ConnectFailed (ConnectionError)
        HandshakeRefused
      ProtocolError
        LocalProtocolError
        RemoteProtocolError

The second base is what pysig 0.7 raised, or what the standard library would: old `except` clauses hold.
Every class has a `wire_code`, which never changes; `to_wire` and `from_wire` carry an error to a peer.
All of them can be copied and pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar

# The tree alone, for users; `to_wire` and `from_wire` are for protocols, by name.
__all__ = [
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "Denied",
    "HandshakeRefused",
    "InvalidArgument",
    "InvalidData",
    "InvalidName",
    "LocalProtocolError",
    "LoopDetected",
    "MessageTooBig",
    "MethodNotFound",
    "Overloaded",
    "ProtocolError",
    "RemoteError",
    "RemoteProtocolError",
    "RequestCancelled",
    "RequestFailed",
    "RequestTimeout",
    "RequestsNotSupported",
    "SenderAlreadyConnected",
    "SenderNotConnected",
    "SigError",
    "UnknownEvent",
    "WouldDeadlock",
]

_E = TypeVar("_E", bound="SigError")


class SigError(Exception):
    """Base of everything that `sig` raises on purpose."""

    wire_code: ClassVar[str] = "error"
    # The attributes that travel, and what they must be on arrival.
    _wire_fields: ClassVar[Mapping[str, type | tuple[type, ...]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Not through the constructor, as exceptions do by default: its arguments are not `self.args`.
        return _blank, (type(self), self.args), self.__dict__

    def _write_fields(self) -> dict[str, object]:
        # A subclass of the user's may not have called our constructor.
        return {name: getattr(self, name, None) for name in self._wire_fields}

    def _read_fields(self, obj: Mapping[str, object]) -> bool:
        """Take the fields of a message over; False if one is missing or wrong."""
        for name, kind in self._wire_fields.items():
            value = obj.get(name)
            if not isinstance(value, kind):
                return False
            setattr(self, name, value)
        return True


# -- our own mistakes, told at once --------------------------------------------------------------


class InvalidArgument(SigError, ValueError):
    """A value that can never be right here. Nothing has been done."""

    wire_code = "invalid_argument"


class InvalidName(InvalidArgument):
    """A sender, event or method name, or a pattern, that breaks the rules."""

    wire_code = "invalid_name"


class InvalidData(InvalidArgument):
    """Data that the codec cannot carry, or that is not of the declared type."""

    wire_code = "invalid_data"


class MessageTooBig(InvalidArgument):
    """Data larger than a frame may be. The link is unharmed."""

    wire_code = "message_too_big"


class UnknownEvent(SigError, LookupError):
    """The sender did not declare this event."""

    wire_code = "unknown_event"
    _wire_fields = {"sender": str, "event": str}

    def __init__(self, sender: str, event: str) -> None:
        super().__init__(f"sender {sender!r} has no event {event!r}")
        self.sender = sender
        self.event = event


class WouldDeadlock(SigError):
    """A blocking wait on the thread or loop that would have to answer it."""

    wire_code = "would_deadlock"


class Closed(SigError, RuntimeError):
    """One's own code has closed this object, or the process has forked since."""

    wire_code = "closed"


# -- names and who holds them --------------------------------------------------------------------


class SenderAlreadyConnected(SigError, NameError):
    """Somebody else holds this name."""

    wire_code = "sender_already_connected"
    _wire_fields = {"sender": str}

    def __init__(self, sender: str) -> None:
        super().__init__(f"sender {sender!r} is already connected")
        self.sender = sender


class SenderNotConnected(SigError, NameError):
    """Nobody holds this name now."""

    wire_code = "sender_not_connected"
    _wire_fields = {"sender": str}

    def __init__(self, sender: str) -> None:
        super().__init__(f"sender {sender!r} is not connected")
        self.sender = sender


# -- requests ------------------------------------------------------------------------------------


class MethodNotFound(SigError, LookupError):
    """The sender answers requests, but not this one."""

    wire_code = "method_not_found"
    _wire_fields = {"sender": str, "method": str}

    def __init__(self, sender: str, method: str) -> None:
        super().__init__(f"sender {sender!r} has no request {method!r}")
        self.sender = sender
        self.method = method


class RequestsNotSupported(SigError, LookupError):
    """The sender answers no requests at all."""

    wire_code = "requests_not_supported"
    _wire_fields = {"sender": str}

    def __init__(self, sender: str) -> None:
        super().__init__(f"sender {sender!r} answers no requests")
        self.sender = sender


class RequestFailed(SigError):
    """A handler refuses on purpose; arrives as itself, in one process and over links.

    Args:
        message: the sentence for people.
        code: a word for programs, chosen by the handler.
        data: anything the codec carries.
    """

    wire_code = "request_failed"
    code: str = ""
    data: object = None

    def __init__(self, message: str, *, code: str = "", data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    def _write_fields(self) -> dict[str, object]:
        return {"failure": {"code": _text(self.code), "data": self.data}}

    def _read_fields(self, obj: Mapping[str, object]) -> bool:
        failure = obj.get("failure", {})
        if not isinstance(failure, dict):
            return False
        code = failure.get("code", "")
        self.code, self.data = code if isinstance(code, str) else "", failure.get("data")
        return True


class RemoteError(RequestFailed):
    """A handler at the other end of a link has failed with an exception of its own.

    `type` is the name of that exception's class; `traceback` is its text, where the other end shows it.
    """

    wire_code = "remote_error"
    type: str = "Exception"
    traceback: str | None = None

    def __init__(
        self, message: str, *, type: str, traceback: str | None = None, code: str = "", data: object = None
    ) -> None:
        super().__init__(message, code=code, data=data)
        self.type = type
        self.traceback = traceback

    def __str__(self) -> str:
        # As in the last line of a traceback: the message of a KeyError alone says nothing.
        message = super().__str__()
        return f"{self.type}: {message}" if message else self.type

    def _write_fields(self) -> dict[str, object]:
        return {**super()._write_fields(), "type": self.type, "traceback": self.traceback}

    def _read_fields(self, obj: Mapping[str, object]) -> bool:
        # Lenient where the sentence alone already helps.
        kind, traceback = obj.get("type"), obj.get("traceback")
        self.type = kind if isinstance(kind, str) else RemoteError.type
        self.traceback = traceback if isinstance(traceback, str) else None
        return super()._read_fields(obj)


class RequestTimeout(SigError, TimeoutError):
    """No answer in time. Whether the handler has done its work is unknown."""

    wire_code = "request_timeout"
    _wire_fields = {"sender": str, "method": str, "timeout": (int, float)}

    def __init__(self, sender: str, method: str, timeout: float) -> None:
        super().__init__(f"sender {sender!r} has not answered {method!r} within {timeout:g} s")
        self.sender = sender
        self.method = method
        self.timeout = timeout


class RequestCancelled(SigError):
    """The other end has cancelled. One's own task gets the `CancelledError` of asyncio."""

    wire_code = "request_cancelled"


class LoopDetected(SigError):
    """Requests that cause each other in a circle."""

    wire_code = "loop_detected"


# -- limits, rights, links -----------------------------------------------------------------------


class Overloaded(SigError):
    """A limit is reached; nothing was accepted. Trying again later may help."""

    wire_code = "overloaded"


class Denied(SigError, PermissionError):
    """Not allowed to this identity."""

    wire_code = "denied"


class ConnectionLost(SigError, ConnectionError):
    """The link is gone. Whether what was under way has been done is unknown."""

    wire_code = "connection_lost"


class ConnectFailed(SigError, ConnectionError):
    """The address cannot be reached, or a server cannot listen on it."""

    wire_code = "connect_failed"


class HandshakeRefused(ConnectFailed):
    """There is a peer, but it will not have us; the sentence says which side must do what."""

    wire_code = "handshake_refused"


class ProtocolError(SigError):
    """The rules of the wire are broken."""

    wire_code = "protocol_error"


class LocalProtocolError(ProtocolError):
    """We broke them: a mistake in the code that drives the protocol."""

    wire_code = "local_protocol_error"


class RemoteProtocolError(ProtocolError):
    """The peer broke them: the link cannot be used any more."""

    wire_code = "remote_protocol_error"


# -- over the wire -------------------------------------------------------------------------------

# Ours only: a subclass made by a user travels as the class of ours that it extends.
_BY_CODE: dict[object, type[SigError]] = {error.wire_code: error for error in map(globals().__getitem__, __all__)}


# Of a message that is none, enough is shown to see what it was; a frame can be megabytes.
_LONGEST_GARBAGE: Final = 200


def to_wire(error: BaseException, *, traceback: str | None = None) -> dict[str, object]:
    """What a peer is told of `error`: `code`, `message` and the fields of its class.

    An exception that is not ours becomes a `RemoteError`, with `traceback` if one may be shown. Never raises.
    Everything in the answer is plain text and numbers, but for the `data` of a `RequestFailed`, which is the
    user's: whoever encodes it must be ready to fail.
    """
    if not isinstance(error, SigError):
        error = RemoteError(_text(error), type=type(error).__name__, traceback=traceback)
    message = error.args[0] if isinstance(error, RemoteError) and error.args else error
    told: dict[str, object] = {"code": error.wire_code, "message": _text(message)}
    for name, value in error._write_fields().items():
        told[name] = _encodable(value) if isinstance(value, str) else value
    return told


def from_wire(obj: object) -> SigError:
    """The error that a peer tells of, with its own class and sentence.

    Never raises: what is unknown or malformed becomes a plain `SigError` with what text there is.
    """
    if not isinstance(obj, dict):
        return SigError(_text(obj)[:_LONGEST_GARBAGE])
    message = obj.get("message")
    text = message if isinstance(message, str) else _text(obj)[:_LONGEST_GARBAGE]
    code = obj.get("code")
    error = _blank(_BY_CODE.get(code, SigError) if isinstance(code, str) else SigError, (text,))
    return error if error._read_fields(obj) else SigError(text)


def _blank(cls: type[_E], args: tuple[object, ...]) -> _E:
    """An error with these `args`, made without calling its constructor."""
    error = cls.__new__(cls)
    error.args = args
    return error


def _text(obj: object) -> str:
    """`str(obj)`, whatever it is: code of the user's, which may fail."""
    try:
        return _encodable(str(obj))
    except Exception as failure:  # any at all: an error message must not cause another error
        return f"<{type(obj).__name__} without a text: {type(failure).__name__}>"


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which no encoder takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
