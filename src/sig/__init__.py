"""Events between endpoints: in one process, between processes, between machines.

The names here are all that a program needs; `sig.carriers` has the carriers by name.
"""

import importlib
from typing import TYPE_CHECKING

from sig.call import Call
from sig.carriers.base import Carrier
from sig.carriers.contexts import TLS
from sig.constants import (
    CHANNEL_DECORATOR,
    DEFAULT_PORT,
    EVENT_CONNECT,
    EVENT_DISCONNECT,
    RESERVED_EVENTS,
    VERSION,
)
from sig.contract import Contract, EventOf
from sig.drivers.local import LocalRuntime
from sig.errors import (
    Closed,
    ConnectFailed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidArgument,
    InvalidData,
    InvalidName,
    LocalProtocolError,
    LoopDetected,
    MessageTooBig,
    MethodNotFound,
    Overloaded,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    RequestCancelled,
    RequestFailed,
    RequestsNotSupported,
    RequestTimeout,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
    UnknownEvent,
    WouldDeadlock,
)
from sig.info import ClientInfo, Gap, Info, ListenerError, Received, Reply, SenderInfo
from sig.iterators import Events
from sig.log import LOG_LEVELS, NullLogger, SimpleLogger, logger, setup_logger, stringify_object
from sig.marks import on
from sig.names import is_builtin_event, is_channel_name
from sig.network import ClientRouter, ServerRouter, connect, serve
from sig.requests import Request, current_request
from sig.router import Router
from sig.sender import Event, Sender, SenderView
from sig.signal import Signal
from sig.stats import Stats
from sig.streams import Stream
from sig.subscription import Subscription

__version__ = VERSION

# Layer 1 knows no clock, thread or loop; this is where it is given some.
Router.runtime_class = LocalRuntime

# The names of pysig 0.7. Kept for good; see docs/reference/names.
Listener = Subscription
hasChannelDecorator = is_channel_name
isBuiltinEvent = is_builtin_event

if not TYPE_CHECKING:  # checkers know what `import sig.aio` brings

    def __getattr__(name: str) -> object:
        """What not every program needs, when it is named: `sig.aio` is there after `import sig`."""
        if name in ("aio", "gui", "testing"):
            return importlib.import_module(f"sig.{name}")
        raise AttributeError(f"module 'sig' has no attribute {name!r}")


__all__ = [
    "CHANNEL_DECORATOR",
    "DEFAULT_PORT",
    "EVENT_CONNECT",
    "EVENT_DISCONNECT",
    "LOG_LEVELS",
    "RESERVED_EVENTS",
    "TLS",
    "VERSION",
    "Call",
    "Carrier",
    "ClientInfo",
    "ClientRouter",
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "Contract",
    "Denied",
    "Event",
    "EventOf",
    "Events",
    "Gap",
    "HandshakeRefused",
    "Info",
    "InvalidArgument",
    "InvalidData",
    "InvalidName",
    "Listener",
    "ListenerError",
    "LocalProtocolError",
    "LoopDetected",
    "MessageTooBig",
    "MethodNotFound",
    "NullLogger",
    "Overloaded",
    "ProtocolError",
    "Received",
    "RemoteError",
    "RemoteProtocolError",
    "Reply",
    "Request",
    "RequestCancelled",
    "RequestFailed",
    "RequestTimeout",
    "RequestsNotSupported",
    "Router",
    "Sender",
    "SenderAlreadyConnected",
    "SenderInfo",
    "SenderNotConnected",
    "SenderView",
    "ServerRouter",
    "SigError",
    "Signal",
    "SimpleLogger",
    "Stats",
    "Stream",
    "Subscription",
    "UnknownEvent",
    "WouldDeadlock",
    "__version__",
    "connect",
    "current_request",
    "hasChannelDecorator",
    "isBuiltinEvent",
    "is_builtin_event",
    "is_channel_name",
    "logger",
    "on",
    "serve",
    "setup_logger",
    "stringify_object",
]
