"""Who holds which name: one sender, or several who share it."""

from __future__ import annotations

from .errors import SenderAlreadyConnected, SenderNotConnected
from .sender import Owned


class Holders(dict[str, Owned]):
    """The senders of one router, by name; of those who share one, the first. The router's lock guards it.

    A reader that takes one entry needs no lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shared: dict[str, list[Owned]] = {}  # all who share a name, in order

    def alike(self, name: str) -> list[Owned]:
        """Who holds that name, in order."""
        held = self.get(name)
        return [] if held is None else list(self._shared.get(name, (held,)))

    def everybody(self) -> list[Owned]:
        return [sender for name in list(self) for sender in self.alike(name)]

    def join(self, sender: Owned) -> bool:
        """Let it hold its name; true if nobody did.

        Raises:
            SenderAlreadyConnected: not both it and the holder are willing to share.
        """
        first = self.get(sender.name)
        if first is not None and not (first._shared and sender._shared):
            raise SenderAlreadyConnected(sender.name)
        if sender._shared:
            self._shared.setdefault(sender.name, []).append(sender)
        self.setdefault(sender.name, sender)
        return first is None

    def leave(self, sender: Owned) -> bool:
        """Let one that holds its name do so no longer; true if nobody does now."""
        others = self.alike(sender.name)
        others.remove(sender)
        if others:
            self[sender.name], self._shared[sender.name] = others[0], others
            return False
        del self[sender.name]
        self._shared.pop(sender.name, None)
        return True

    def least(self, name: str, instance: int | None = None) -> Owned:
        """Of those who share that name, who is answering least; or the one of that incarnation.

        Raises:
            SenderNotConnected: there is none.
        """
        there = [sender for sender in self.alike(name) if instance in (None, sender._incarnation)]
        if not there:
            raise SenderNotConnected(name)
        return min(there, key=_load)


def _load(sender: Owned) -> int:
    return sender._asked + len(sender._streams)
