"""Data as one types it on a command line, or pipes it in."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sig.errors import InvalidArgument

_JSON_BEGINS = ("{", "[", '"')


def given(words: Sequence[str]) -> Iterator[object]:
    """The values that the words of a command line stand for: one, or those of standard input for a single `-`.

    Raises `InvalidArgument` for words that stand for nothing, before anything else happens.
    """
    return _lines(sys.stdin.buffer) if list(words) == ["-"] else iter([parse(words)])


def parse(words: Sequence[str]) -> object:
    """Nothing is `None`; one JSON text is itself; `key=value` pairs make a dict; any other single word is text.

    In a pair, the value is JSON if it can be read as such, and text otherwise.
    """
    for word in words:
        if word.startswith("-") and not _is_json(word):
            raise InvalidArgument(f"there is no option {word!r}; to send it as text, quote it twice: '\"{word}\"'")
    if not words:
        return None
    if all("=" in word and not word.startswith(_JSON_BEGINS) for word in words):
        return _pairs(words)
    if len(words) == 1:
        return _value(words[0])
    raise InvalidArgument(f"{' '.join(words)!r} is neither key=value pairs nor one JSON text: quote it as a whole")


def _pairs(words: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in words:
        key, _, text = word.partition("=")
        if not key or key in found:
            raise InvalidArgument(f"{word!r} has {'a key that was given before' if key else 'no key'}: write key=value")
        found[key] = _value(text)
    return found


def _value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        if text.startswith(_JSON_BEGINS):
            raise InvalidArgument(f"{text!r} looks like JSON and is not: check quotes and brackets") from None
        return text


def _is_json(text: str) -> bool:
    return not isinstance(_value(text), str)


def _lines(source: Iterable[bytes]) -> Iterator[object]:
    """The values in lines of JSON, as they come; empty lines are skipped."""
    for number, line in enumerate(source, 1):
        if line.strip():
            try:
                value = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeError) as error:
                raise InvalidArgument(
                    f"line {number} of the input is not JSON ({error}): give one JSON text a line"
                ) from None
            yield value
