"""What senders offer, as an AsyncAPI 3 document: they send events, and receive requests, to which they reply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

Schema: TypeAlias = Mapping[str, Any]
# By event; and by method, of `params`, `result` and `parts`.
Offered: TypeAlias = tuple[Mapping[str, Schema], Mapping[str, Mapping[str, Schema]]]

_REFERENCE: Final = "#/$defs/"
_NO_KEY: Final = re.compile(r"[^\w.-]+", re.ASCII)


def asyncapi(senders: Mapping[str, Offered]) -> dict[str, Any]:
    """The document of these senders, by name."""
    shared, channels, operations = _Shared(), _Named(), _Named()
    for sender, (events, requests) in senders.items():
        for event, schema in events.items():
            messages = {"event": shared.message(event, schema)}
            channel = channels.add(f"{sender}.{event}", _channel(sender, f"event {event!r}", messages))
            operations.add(f"{sender}.{event}", {"action": "send", "channel": _to("channels", channel)})
        for method, parts in requests.items():
            said = ("params", "parts", "result") if "parts" in parts else ("params", "result")
            messages = {what: shared.message(f"{method}.{what}", parts.get(what, {})) for what in said}
            channel = channels.add(f"{sender}.{method}", _channel(sender, f"request {method!r}", messages))
            operations.add(f"{sender}.{method}", _request(channel, said))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "What senders offer", "version": "1"},
        "defaultContentType": "application/json",
        "channels": channels.found,
        "operations": operations.found,
        "components": {"schemas": shared.schemas.found},
    }


def _channel(sender: str, what: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {"address": sender, "title": f"{what} of {sender!r}", "messages": messages}


def _request(channel: str, said: tuple[str, ...]) -> dict[str, Any]:
    there = _to("channels", channel)
    params, *answers = (_to("channels", channel, "messages", what) for what in said)
    return {
        "action": "receive",
        "channel": there,
        "messages": [params],
        "reply": {"channel": there, "messages": answers},
    }


def _to(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}


class _Named:
    """A mapping with keys that all tools take."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add(self, name: str, value: Any) -> str:
        """Under this name, or one like it; returns which."""
        plain = key = _NO_KEY.sub("_", name)
        number = 1
        while key in self.found:
            number += 1
            key = f"{plain}-{number}"
        self.found[key] = value
        return key


class _Shared:
    """Definitions, together with all that they refer to, once each."""

    def __init__(self) -> None:
        self.schemas = _Named()
        self._keys: dict[bytes, str] = {}  # by what they say, down to the last

    def message(self, name: str, schema: Schema) -> dict[str, Any]:
        definitions = schema.get("$defs")
        bare = {word: value for word, value in schema.items() if word != "$defs"}
        return {"name": name, "payload": self._moved(bare, definitions if isinstance(definitions, Mapping) else {})}

    def _moved(self, value: Any, definitions: Schema) -> Any:
        """The same, with references to where definitions are in the document."""
        if isinstance(value, list):
            return [self._moved(item, definitions) for item in value]
        if not isinstance(value, dict):
            return value
        name = _referred(value)
        if name in definitions:
            return {**value, "$ref": f"#/components/schemas/{self._key(name, definitions)}"}
        return {word: self._moved(item, definitions) for word, item in value.items()}

    def _key(self, name: str, definitions: Schema) -> str:
        said = msgspec.json.encode([name, *sorted((n, definitions[n]) for n in _closure(name, definitions))])
        if said not in self._keys:
            key = self._keys[said] = self.schemas.add(name, None)  # first, as it may refer to itself
            self.schemas.found[key] = self._moved(definitions[name], definitions)
        return self._keys[said]


def _closure(name: str, definitions: Schema) -> dict[str, None]:
    """It and all that it refers to, directly or not."""
    found: dict[str, None] = {name: None}
    waiting = [name]
    while waiting:
        for other in _references(definitions[waiting.pop()]):
            if other in definitions and other not in found:
                found[other] = None
                waiting.append(other)
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield _referred(value)
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _references(item)


def _referred(value: dict[str, Any]) -> str:
    """The name of the definition that stands here; empty for none."""
    reference = value.get("$ref")
    is_ours = isinstance(reference, str) and reference.startswith(_REFERENCE)
    return reference.removeprefix(_REFERENCE) if is_ours and isinstance(reference, str) else ""
