"""What a verb of the asyncio face returns where it waits."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """Something under way: await it for the thing itself, or enter it with `async with`, which ends the thing too.

    Nothing has begun before one of the two; like a coroutine it can be awaited once.
    """

    __slots__ = ("_coroutine", "_value")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._value: Any = None

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    if not TYPE_CHECKING:  # checkers tell it before

        def __getattr__(self, name: str) -> object:
            told = "await it, or enter it with `async with`, for the thing itself"
            raise AttributeError(f"what has not begun yet has no {name!r}: {told}")

    async def __aenter__(self) -> T:
        self._value = await self
        if hasattr(self._value, "__aenter__"):
            await self._value.__aenter__()
        value: T = self._value
        return value

    async def __aexit__(self, *error: object) -> None:
        if hasattr(self._value, "__aexit__"):
            await self._value.__aexit__(*error)
        else:
            self._value.__exit__(*error)
