"""The import paths of pysig 0.7: `sig.utils.replyqueue`."""

from sig.utils import replyqueue

__all__ = ["replyqueue"]
