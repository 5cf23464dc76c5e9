"""Events between endpoints: in one process, between processes, between machines.

with sig.Router() as router:
    @router.on("thermostat", "changed")
    def show(info, data): ...
"""

from .constants import (
    CHANNEL_DECORATOR,
    DEFAULT_PORT,
    EVENT_CONNECT,
    EVENT_DISCONNECT,
    RESERVED_EVENTS,
    VERSION,
)
from .drivers.local import LocalRuntime
from .errors import *  # noqa: F403
from .info import Gap, Info, ListenerError, Received, SenderInfo
from .log import LOG_LEVELS, NullLogger, SimpleLogger, logger, setup_logger, stringify_object
from .names import is_builtin_event, is_channel_name
from .router import Router
from .sender import Event, Sender, SenderView
from .signal import Signal
from .subscription import Subscription

__version__ = VERSION

Router.runtime_class = LocalRuntime
