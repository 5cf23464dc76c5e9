"""Carriers: an address becomes links. TCP today."""

from sig.carriers.base import Carrier
from sig.carriers.tcp import TCPClient, TCPServer

__all__ = ["Carrier", "TCPClient", "TCPServer"]
