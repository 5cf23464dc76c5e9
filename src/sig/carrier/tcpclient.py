"""`sig.carrier.tcpclient` of pysig 0.7; the class is `sig.carriers.TCPClient` today."""

from sig.carriers.tcp import TCPClient as CarrierTCPClient

__all__ = ["CarrierTCPClient"]
