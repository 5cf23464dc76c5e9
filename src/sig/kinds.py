"""Types of payloads: which there are, what JSON Schema says of one, and data made to fit it.

A type is whatever msgspec makes of plain data: a Struct, dataclass, attrs class, TypedDict, NamedTuple, a builtin or
generic type; or a pydantic model. What is particular to pydantic is here and nowhere else, and needs no import of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, TypeGuard, is_typeddict

import msgspec

from .callables import annotation
from .errors import InvalidArgument

# What has been looked at is not looked at again: a callback may be registered a million times.
_KEPT: Final = 1024


def kind_of(wanted: Any) -> Any:
    """A type that somebody names; `None` for one that says nothing (`None`, `object`, `Any`).

    Raises:
        InvalidArgument: nothing can be made to fit it.
    """
    if wanted is None or wanted is object or wanted is Any:
        return None
    try:
        msgspec.inspect.type_info(wanted)
    except Exception as error:  # annotations within may be anything
        raise InvalidArgument(f"{shown(wanted)} cannot be a type of data: {error}") from error
    return wanted


def check_kind(wanted: Any) -> None:
    """Raise `InvalidArgument` for what is no type of data: before anything is done to get some of it."""
    try:
        _checked(wanted)
    except TypeError:  # it cannot be hashed
        kind_of(wanted)


def kind_said(function: object, position: int | None) -> Any:
    """The type that an annotation of a parameter (`None`: of the return value) asks for.

    `None` where nothing is annotated, or what has no form in JSON: that was meant for people, or for checkers.
    """
    said = annotation(function, position)
    return said if said is not Any and said is not object and is_kind(said) else None


def is_kind(wanted: Any) -> bool:
    """Whether plain data can be made to fit, and JSON Schema can say what does."""
    try:
        return _is_kind(wanted)
    except TypeError:  # it cannot be hashed
        return _is_kind.__wrapped__(wanted)


_checked = lru_cache(_KEPT)(kind_of)


@lru_cache(_KEPT)
def _is_kind(wanted: Any) -> bool:
    try:
        schema_of(wanted)
    except Exception:  # msgspec raises what it likes, and so may what is annotated within
        return False
    return True


def schema_of(kind: Any) -> dict[str, object]:
    """JSON Schema of what fits, complete in itself: what it refers to is under its `$defs`.

    Raises whatever msgspec does for what is no type of data.
    """
    definitions: dict[str, Any] = {}

    def described(custom: Any) -> dict[str, Any]:
        if custom is object:
            return {"title": "any"}  # msgspec takes an empty one for none
        if not _is_model(custom):
            raise NotImplementedError
        schema: dict[str, Any] = custom.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(schema.pop("$defs", {}))
        return schema

    (schema,), more = msgspec.json.schema_components([kind], schema_hook=described)
    definitions.update(more)
    return {**schema, "$defs": definitions} if definitions else dict(schema)


def exact(kind: Any) -> type:
    """The class whose very instances fit without being looked at; for other types, one that has none."""
    return kind if recognised(kind) else _Nobody


def recognised(kind: Any) -> TypeGuard[type]:
    """Whether values of that type can be told from others by their class."""
    return isinstance(kind, type) and not is_typeddict(kind)


class _Nobody:
    """Has no instances."""


def fit(value: object, kind: Any) -> Any:
    """`value` as that type; an instance of a class is taken as it is, and so is one of a subclass.

    Everything else is treated as over a link: as if it had been made plain, and then read. Raises
    `msgspec.ValidationError`.
    """
    return fitter(kind)(value)


def fitter(kind: Any) -> Callable[[object], Any]:
    """`fit` for one type."""
    try:
        return _fitter(kind)
    except TypeError:  # it cannot be hashed
        return _fitter.__wrapped__(kind)


@lru_cache(_KEPT)
def _fitter(kind: Any) -> Callable[[object], Any]:
    # What fits at once takes a short way; what does not, and is made to or told, the long one.
    convert = msgspec.convert
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):

        def struct(value: object) -> Any:
            if type(value) is not dict and isinstance(value, kind):
                return value  # msgspec would take no subclass
            try:
                return convert(value, kind)
            except Exception:
                return _fit(value, kind)

        return struct
    frame = _framed(kind)
    if frame is None:
        return partial(_fit, kind=kind)

    def framed(value: object) -> Any:
        try:
            return convert((value,), frame).value
        except Exception:
            return _fit(value, kind)

    return framed


def _framed(kind: Any) -> Any:
    """A Struct whose one field is of that type; `None` for one that msgspec does not know by itself.

    msgspec looks at a type anew each time it converts something to it, unless that is a Struct: so it is three to ten
    times as fast.
    """

    def only_any(custom: Any) -> dict[str, Any]:
        if custom is object:
            return {"title": "any"}
        raise NotImplementedError

    try:
        msgspec.json.schema_components([kind], schema_hook=only_any)
        return msgspec.defstruct("Frame", [("value", kind)], array_like=True, gc=False)
    except Exception:  # as `is_kind`
        return None


def _fit(value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, dec_hook=made)
    except msgspec.ValidationError:
        try:
            told = msgspec.to_builtins(value, enc_hook=plain)
        except Exception:  # it cannot be sent either: the error above tells what was wanted
            told = value
        if told is value:
            raise
    return msgspec.convert(told, kind, dec_hook=made)


def made(kind: Any, value: Any) -> Any:
    """For decoders of msgspec (`dec_hook`): a value of a type that msgspec does not know."""
    if _is_model(kind):
        if type(value) is not dict and isinstance(value, kind):  # pydantic takes its time to say so
            return value
        try:
            return kind.model_validate(value)
        except ValueError as error:
            raise ValueError(_complaints(error)) from error
    if isinstance(value, kind):
        return value
    raise TypeError(f"Expected `{shown(kind)}`, got `{shown(type(value))}`")


def plain(value: Any) -> object:
    """For encoders of msgspec (`enc_hook`): plain data for an instance of a type that msgspec does not know."""
    if _is_model(type(value)):
        dumped: object = value.model_dump(mode="json")
        return dumped
    raise TypeError(f"Encoding objects of type {shown(type(value))} is unsupported")


def shown(kind: Any) -> str:
    """How a type is called in a sentence."""
    return kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else repr(kind)


def _is_model(kind: Any) -> bool:
    """Whether it is a pydantic model: by what it can do, so that pydantic is imported by those alone who use it."""
    try:
        return _looks_like_model(kind)
    except TypeError:  # it cannot be hashed
        return _looks_like_model.__wrapped__(kind)


@lru_cache(_KEPT)
def _looks_like_model(kind: Any) -> bool:
    return isinstance(kind, type) and all(
        callable(getattr(kind, name, None)) for name in ("model_validate", "model_dump", "model_json_schema")
    )


def _complaints(error: ValueError) -> str:
    """What pydantic says on several lines, as a sentence."""
    errors: Callable[[], list[dict[str, Any]]] | None = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in errors())
