"""`sig.carrier.local` of pysig 0.7; the class is `sig.carriers.LocalCarrier` today."""

from sig.carriers.local import LocalCarrier

__all__ = ["LocalCarrier"]
