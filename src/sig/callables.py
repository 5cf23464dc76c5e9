"""Looking at what users hand us: can it be called as it will be, is it a coroutine function, what is its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType


def check_callable(function: object, *parameters: str) -> None:
    """Raise `TypeError` unless `function` accepts `parameters` by position.

    Told where it registers, a wrong signature is one line to fix; told at the first event it is a riddle.
    """
    count = len(parameters)
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called; give a function of ({', '.join(parameters)})")
    if _fits(function, count):
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # Some builtins do not tell; then the first call will.
    try:
        signature.bind(*parameters)
    except TypeError as error:
        raise TypeError(
            f"{describe(function)}{signature} cannot be called with ({', '.join(parameters)}): {error}"
        ) from None


def _fits(function: object, count: int) -> bool:
    """The usual case, decided without `inspect.signature`, which costs more than all the rest of a registration."""
    bound = 0
    # Not isinstance: a mock may say that it is a function, and has none of its attributes.
    if type(function) is MethodType:
        function, bound = function.__func__, 1
    if type(function) is not FunctionType or hasattr(function, "__wrapped__"):
        return False
    code = function.__code__
    required = code.co_argcount - len(function.__defaults__ or ()) - bound
    keywords = code.co_kwonlyargcount - len(function.__kwdefaults__ or ())
    variable = bool(code.co_flags & inspect.CO_VARARGS)
    return required <= count and keywords <= 0 and (variable or code.co_argcount - bound >= count)


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling `function` makes a coroutine to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  an object with `async def __call__`, not a test for being callable
    )


def is_generator(function: object) -> bool:
    """Whether calling `function` only makes a generator, and runs nothing of its body."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def describe(function: object) -> str:
    """A name for log lines and sentences: `module.qualname` where there is one. Never raises."""
    try:
        target = getattr(function, "func", function)  # functools.partial
        name, module = getattr(target, "__qualname__", None), getattr(target, "__module__", None)
        if not isinstance(name, str):
            name = type(target).__qualname__
        return f"{module}.{name}" if module else name
    except Exception:  # any at all: attributes may be code of the user's
        return type(function).__qualname__
