"""The import paths of pysig 0.7: `sig.utils.replyqueue`."""

__all__ = ["replyqueue"]
