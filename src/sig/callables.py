"""Looking at what users hand us: can it be called as it will be, is it a coroutine function, what is its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any, Final, get_type_hints


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


_PLAIN: Final = (FunctionType, MethodType)
# The most frequent annotations that ask for nothing.
_SAYS_NOTHING: Final = (Any, object, "Any", "object", "typing.Any")


def annotation(function: Any, position: int | None) -> Any:
    """What `function` says of the parameter which it takes there by position; `None` for what it returns.

    `Any` where it says nothing, or nothing that can be found at run time: a type of a function's own, or one imported
    for checkers alone.
    """
    bound = 0
    if type(function) is partial:
        function, bound = function.func, len(function.args)
    if type(function) not in _PLAIN and not inspect.isroutine(function) and not isinstance(function, type):
        function = getattr(function, "__call__", None)  # noqa: B004  the method of an object that can be called
    if type(function) is MethodType:
        function, bound = function.__func__, bound + 1
    if type(function) is not FunctionType:
        return Any
    try:
        if hasattr(function, "__wrapped__"):
            function = inspect.unwrap(function)
        code = function.__code__
        if position is not None and position + bound >= code.co_argcount:
            return Any
        name = "return" if position is None else code.co_varnames[position + bound]
        said = function.__annotations__.get(name, Any)
        if said in _SAYS_NOTHING:
            return Any
        # That one alone: what others say may not be found.
        return found_at_run_time(said, function.__globals__)
    except Exception:  # any at all: annotations are code of the user's
        return Any


def found_at_run_time(said: object, globals: dict[str, Any]) -> Any:
    """What an annotation means, which may be a text, or hold some. Raises whatever that raises."""
    holder: Any = SimpleNamespace(__annotations__={"it": said}, __globals__=globals)
    return get_type_hints(holder, include_extras=True)["it"]


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
