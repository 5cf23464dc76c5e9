"""How data that is offered differs from data that is wanted, as far as JSON Schema tells.

Only what is certain counts: that there is data which the one allows and the other refuses. Keywords that are not known
here, and what would take too long to find out, make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

# What a peer sends is compared too: it must not keep us busy.
_MOST_STEPS: Final = 5_000

_A: Final = {
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "a boolean",
    "null": "null",
    "object": "an object",
    "array": "an array",
}
_KINDS: Final = {str: "string", float: "number", int: "integer", bool: "boolean", type(None): "null"}
_NUMBERS: Final = ("integer", "number")
# Other formats are remarks.
_FORMATS: Final = ("date-time", "date", "time", "duration", "uuid", "decimal", "base64")
_MOST_SHOWN: Final = 5  # values of an enumeration, in a sentence


def difference(offered: object, wanted: object) -> str | None:
    """The first difference, with its place: `$.celsius is a string, not a number`. `None` where there is none."""
    try:
        return _Comparison(offered, wanted).find(offered, wanted, "$")
    except (_TooLong, RecursionError):
        return None


class _TooLong(Exception):
    """Left undecided."""


class _Comparison:
    """`theirs` is what is offered, `ours` what is wanted, throughout."""

    def __init__(self, offered: object, wanted: object) -> None:
        self._theirs = _mapping(_mapping(offered).get("$defs"))
        self._ours = _mapping(_mapping(wanted).get("$defs"))
        self._under_way: list[tuple[object, object]] = []  # types may contain themselves
        self._steps = 0

    def find(self, theirs: object, ours: object, place: str) -> str | None:
        if any(theirs is one and ours is other for one, other in self._under_way):
            return None
        self._under_way.append((theirs, ours))
        wanted = list(self._simple(ours, self._ours))
        known = [choice for choice in wanted if choice is not None]
        if len(known) == len(wanted):
            for choice in self._simple(theirs, self._theirs):
                found = None if choice is None else self._choose(choice, known, place)
                if found is not None:
                    return found
        self._under_way.pop()
        return None

    def _simple(self, schema: object, definitions: Schema) -> Iterator[Schema | None]:
        """What it allows, one kind at a time; `None` for what is not known."""
        self._step()
        if not isinstance(schema, Mapping):
            yield None
        elif isinstance(reference := schema.get("$ref"), str):
            yield from self._simple(definitions.get(reference.removeprefix("#/$defs/")), definitions)
        elif choices := _list(schema.get("anyOf")) or _list(schema.get("oneOf")):
            for choice in choices:
                yield from self._simple(choice, definitions)
        elif (values := _values(schema)) is not None:
            for kind in dict.fromkeys(_KINDS.get(type(value), "") for value in values):
                some = [value for value in values if _KINDS.get(type(value)) == kind]
                yield {"type": kind, "enum": some} if some else None
        else:
            for kind in _list(schema.get("type")) or [schema.get("type")]:
                yield {**schema, "type": kind} if isinstance(kind, str) and kind in _A else None

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _TooLong

    def _choose(self, theirs: Schema, wanted: Sequence[Schema], place: str) -> str | None:
        near = [ours for ours in wanted if self._may_fit(theirs, ours)]
        if not near:
            return f"{place} is {_shown(theirs)}, not {' or '.join(dict.fromkeys(map(_shown, wanted)))}"
        # Of several, one may take what another does not.
        return self._inside(theirs, near[0], place) if len(near) == 1 else None

    def _may_fit(self, theirs: Schema, ours: Schema) -> bool:
        """Whether the two are alike enough to be looked at more closely."""
        self._step()
        here, there = theirs["type"], ours["type"]
        if here != there and not (here in _NUMBERS and there in _NUMBERS):
            # Decimals are written as strings, and read from numbers too.
            return here in _NUMBERS and _format(ours) == "decimal"
        if not _meet(theirs, ours):
            return False
        # Of tagged unions, the one with the same tag.
        fields = _mapping(ours.get("properties"))
        return all(_meet(field, fields.get(name)) for name, field in _mapping(theirs.get("properties")).items())

    def _inside(self, theirs: Schema, ours: Schema, place: str) -> str | None:
        """What may fit, looked at more closely."""
        kind, values, wanted = theirs["type"], _values(theirs), _values(ours)
        if wanted is not None:
            differs = values is None or any(value not in wanted for value in values)
        elif values is not None:
            differs = False
        elif kind == "number":
            differs = ours["type"] == "integer"
        elif kind == "string":
            differs = _format(ours) not in ("", _format(theirs))
        elif kind == "object":
            return self._in_object(theirs, ours, place)
        elif kind == "array":
            return self._in_array(theirs, ours, place)
        else:
            differs = False
        return f"{place} is {_shown(theirs)}, not {_shown(ours)}" if differs else None

    def _in_object(self, theirs: Schema, ours: Schema, place: str) -> str | None:
        here, there = _mapping(theirs.get("properties")), _mapping(ours.get("properties"))
        rest, more = ours.get("additionalProperties"), theirs.get("additionalProperties")
        if "properties" not in theirs:  # names of any kind: nothing can be missing for certain
            return self.find(more, rest, f"{place}[...]")
        for name in _list(ours.get("required")):
            if name not in here and not more:
                return f"{place}.{name} is missing"
        for name, field in here.items():
            if name not in there and rest is False:
                return f"{place}.{name} is not wanted"
            found = self.find(field, there.get(name, rest), f"{place}.{name}")
            if found is not None:
                return found
        return None

    def _in_array(self, theirs: Schema, ours: Schema, place: str) -> str | None:
        here, there = _list(theirs.get("prefixItems")), _list(ours.get("prefixItems"))
        if not here and not there:
            return self.find(theirs.get("items"), ours.get("items"), f"{place}[...]")
        least, most = _length(theirs, here)
        fewest, largest = _length(ours, there)
        if here:
            least = most  # all of it is written, whatever has a default
        if least < fewest or most > largest:
            return f"{place} has {_items(least, most)}, not {_items(fewest, largest)}"
        for position, item in enumerate(here):
            wanted = there[position] if position < len(there) else ours.get("items")
            found = self.find(item, wanted, f"{place}[{position}]")
            if found is not None:
                return found
        return None


def _mapping(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _values(schema: object) -> Sequence[Any] | None:
    """All that is allowed, where that is told one by one."""
    told = _mapping(schema)
    return [told["const"]] if "const" in told else _list(told.get("enum")) or None


def _meet(theirs: object, ours: object) -> bool:
    """Whether some value may be allowed by both."""
    here, there = _values(theirs), _values(ours)
    return here is None or there is None or any(value in there for value in here)


def _format(schema: Schema) -> str:
    told = schema.get("format", schema.get("contentEncoding"))
    return told if told in _FORMATS else ""


def _length(schema: Schema, prefix: Sequence[object]) -> tuple[float, float]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    closed = len(prefix) if prefix and schema.get("items") is False else inf
    return least if isinstance(least, int) else 0, most if isinstance(most, int) else closed


def _items(least: float, most: float) -> str:
    if not least and most == inf:
        return "any number of items"
    some = f"{least} to {most}" if least < most < inf else f"{least}"
    return f"{some} item{'' if least == 1 and some == '1' else 's'}{' or more' if most == inf else ''}"


def _shown(schema: Schema) -> str:
    values = _values(schema)
    if values is not None:
        some = " or ".join(map(repr, values[:_MOST_SHOWN]))
        return f"{some} or others" if len(values) > _MOST_SHOWN else some
    kind = _A[schema["type"]]
    remark = schema.get("title") if schema["type"] in ("object", "array") else _format(schema)
    return f"{kind} ({remark})" if isinstance(remark, str) and remark else kind
