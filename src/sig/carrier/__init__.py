"""The import paths of pysig 0.7: thin names for what is in `sig.carriers`."""

from sig.carrier import local, tcpclient, tcpserver

__all__ = ["local", "tcpclient", "tcpserver"]
