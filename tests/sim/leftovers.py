"""How much a server's core keeps, room by room: what has grown when all have left is a leak, whatever its name."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any
from weakref import WeakValueDictionary

from sig.protocol.server import ServerCore

# Not what belongs to clients.
_NOT = ("codecs", "limits", "handlers", "lanes", "_calls", "access")


def sizes(core: ServerCore) -> dict[str, int]:
    """Of each table of the core and of its rooms, how many entries it has; and the bytes on which they agree."""
    found = dict(_tables("", core))
    for name, room in vars(core).items():
        if type(room).__module__.startswith("sig.protocol.") and name not in _NOT:
            found |= _tables(f"{name}.", room)
    found["budget.used"] = core.budget.used
    return found


def _tables(prefix: str, owner: Any) -> Iterator[tuple[str, int]]:
    slots = [name for cls in type(owner).__mro__ for name in getattr(cls, "__slots__", ())]
    for name in [*getattr(owner, "__dict__", {}), *slots]:
        value = getattr(owner, name, None)
        if isinstance(value, Sized) and not isinstance(value, str | bytes | WeakValueDictionary) and name not in _NOT:
            yield f"{prefix}{name}", len(value)
