"""Carriers: an address becomes links. See `base` for what they are, `schemes` for what URLs stand for."""

from sig.carriers.base import Carrier, ClientCarrier, ServerCarrier
from sig.carriers.schemes import register
from sig.carriers.tcp import TCPClient, TCPServer

__all__ = ["Carrier", "ClientCarrier", "ServerCarrier", "TCPClient", "TCPServer", "register"]
