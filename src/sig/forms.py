"""Data that is checked because it is about to be written: it becomes a Struct that is written alike.

msgspec makes a Struct of a dict in two thirds of the time that another dict takes, and writes it sooner. Nobody but an
encoder of msgspec may see what is made here: it is no dict.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NotRequired, Required, cast, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
from msgspec import UNSET
from msgspec.inspect import TypedDictType, type_info

# As in `kinds`: a sender may come again a million times.
_KEPT: Final = 1024


def written_as(kind: Any) -> type[msgspec.Struct] | None:
    """What `msgspec.convert(data, form)` makes is written as `fit(data, kind)` is; `None` where there is no such form.

    It may raise, of any class, for data that `fit` takes all the same: then that has the last word.
    """
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return _form(kind) if is_typeddict(kind) else None


@lru_cache(_KEPT)
def _form(kind: Any) -> type[msgspec.Struct] | None:
    try:
        said = get_type_hints(kind, include_extras=True)
        # `__required_keys__` is wrong where annotations are text.
        required = {field.name: field.required for field in cast("TypedDictType", type_info(kind)).fields}
        names = {f"field{number}": name for number, name in enumerate(said)}  # theirs may be anything, like "class"
        fields = [_field(field, said[name], required[name]) for field, name in names.items()]
        form = msgspec.defstruct(kind.__name__, fields, rename=names, kw_only=True, gc=False)
        # Unless msgspec knows all of the types, each event would be tried in vain.
        msgspec.json.schema_components([form])
    except Exception:  # annotations are code of the user's, and there are names that a Struct does not take
        return None
    return form


def _field(name: str, said: Any, required: bool) -> tuple[str, Any] | tuple[str, Any, Any]:
    while get_origin(said) in (Required, NotRequired):
        (said,) = get_args(said)
    # UNSET is what nobody has given, and is not written; nobody can give it, because it is not of that type.
    return (name, said) if required else (name, said, UNSET)
