"""What carries a client's bytes: the contract between `ClientDriver` and the link it drives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from sig.errors import SigError

T = TypeVar("T")

# How long a server that was told to go, or told us so, may take to close its end.
LINGER_S: Final = 1.0
# What a client reads at once from a stream. More would save little, and what is made of it would be given back to the
# system and asked for anew.
READ_BYTES: Final = 64 * 1024


class LinkUser(Protocol):
    """What a link calls, on a thread of its own or on the loop that it lives on; a `ClientDriver`."""

    def received(self, data: bytes | memoryview) -> None:
        """Bytes have come."""
        ...

    def writable(self) -> None:
        """Everything sent so far has gone: more may be sent."""
        ...

    def locked(self, function: Callable[[], T]) -> T:
        """Run something of the link's under the lock that guards sending."""
        ...

    def lost(self, error: SigError) -> None:
        """The link is down; called once, and nothing is called after it."""
        ...


class ReadsByItself:
    """A link that needs nobody's thread to read: there are no turns to take."""

    def turn(self) -> bool:
        return False

    def poke(self) -> None:
        pass

    def relieve(self) -> None:
        pass

    def expect(self) -> None:
        pass


class Link(Protocol):
    """What carries the bytes. `send` and `finish` are called with the user's lock held, and never wait."""

    @property
    def unsent(self) -> int:
        """Bytes taken and not yet gone; nothing is sent while there are any."""
        ...

    def start(self, user: LinkUser) -> None:
        """Begin to call `user`."""
        ...

    def send(self, data: bytes) -> None: ...

    def finish(self, timeout: float) -> None:
        """End when what was sent has gone and the other end has closed, or after `timeout` seconds.

        May be called again: the shorter time holds.
        """
        ...

    def turn(self) -> bool:
        """Read once, on this thread, which calls listeners then; false for links that read by themselves.

        Returns when something has come, or when `poke` is called.
        """
        ...

    def poke(self) -> None:
        """Have a `turn` that is under way return."""
        ...

    def relieve(self) -> None:
        """The thread that takes turns will be away: let another read."""
        ...

    def expect(self) -> None:
        """Somebody waits for an answer: if the thread that takes turns has been away for long, let another read."""
        ...

    def join(self, timeout: float) -> Any:
        """Wait until it is down; not on a thread of the link's own. A step, see `steps`."""
        ...

    def abandon(self) -> None:
        """In a forked child: let go of the descriptors, touch nothing else."""
        ...
