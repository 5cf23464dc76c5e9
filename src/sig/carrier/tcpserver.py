"""`sig.carrier.tcpserver` of pysig 0.7; the class is `sig.carriers.TCPServer` today."""

from sig.carriers.tcp import TCPServer as CarrierTCPServer

__all__ = ["CarrierTCPServer"]
