"""Carriers: an address becomes links. See `base` for what they are, `schemes` for URLs, `media` to write one."""

from sig.carriers.base import Carrier, ClientCarrier, ServerCarrier
from sig.carriers.local import LocalCarrier
from sig.carriers.media import Medium, MediumClient, MediumServer
from sig.carriers.schemes import register
from sig.carriers.tcp import TCPClient, TCPServer

__all__ = [
    "Carrier",
    "ClientCarrier",
    "LocalCarrier",
    "Medium",
    "MediumClient",
    "MediumServer",
    "ServerCarrier",
    "TCPClient",
    "TCPServer",
    "register",
]
