"""Data as one types it on a command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sig.errors import InvalidArgument


def parse(words: Iterable[str]) -> object:
    """The value that the words of a command line stand for.

    Nothing is `None`; one JSON text is itself; `key=value` pairs make a dict, where a value is JSON if it can be read
    as such and text otherwise; any other single word is text.
    """
    given = list(words)
    if not given:
        return None
    if all("=" in word and not word.startswith(("{", "[", '"')) for word in given):
        return {key: _value(text) for key, _, text in (word.partition("=") for word in given)}
    if len(given) == 1:
        return _value(given[0])
    raise InvalidArgument(f"{' '.join(given)!r} is neither key=value pairs nor one JSON text: quote the JSON")


def lines(source: Iterable[str]) -> Iterator[object]:
    """The values in lines of JSON; empty lines are skipped."""
    for number, line in enumerate(source, 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line)
            except msgspec.DecodeError as error:
                raise InvalidArgument(
                    f"line {number} of the input is not JSON ({error}): give one JSON text a line"
                ) from None


def _value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        if text.startswith(("{", "[", '"')):
            raise InvalidArgument(f"{text!r} looks like JSON and is not: check quotes and brackets") from None
        return text
