"""Events that come by themselves."""

from __future__ import annotations

from protocol.pairs import End, World
from protocol.serving import routes

from sig.protocol.events import pack_batch


def say(world: World, owner: End, sender: str = "s") -> None:
    """After which it is known who hears the route."""
    owner.core.owning.trigger(sender, "e", b"0")
    world.settle()


def one(owner: End, payload: bytes = b"1") -> bytes:
    return pack_batch(routes(owner)["e"], [payload], lens=False, lines=True)
