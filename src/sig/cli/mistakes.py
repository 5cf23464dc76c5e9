"""A command line that was written wrong, as one sentence in our words."""

from __future__ import annotations

from collections.abc import Iterable

from cyclopts import CycloptsError
from cyclopts.exceptions import MissingArgumentError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError

from sig.cli import limits
from sig.spelling import meant


def sentence(error: CycloptsError, commands: Iterable[str]) -> str:
    """What is wrong, and where it is said how to write it."""
    command = " ".join(("sig", *(error.command_chain or ())))
    wrong = _wrong(error, command, commands).rstrip(".")
    return f"{wrong} See {command} --help" if wrong.endswith("?") else f"{wrong}; see {command} --help"


def _wrong(error: CycloptsError, command: str, commands: Iterable[str]) -> str:
    unused = error.unused_tokens or [""]
    if isinstance(error, UnknownCommandError):
        return _unknown("command", unused[0], commands)
    if isinstance(error, UnknownOptionError):
        options = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        word = (error.token.keyword or error.token.value).partition("=")[0]
        return _unknown("option", word, [*options, *limits.OPTIONS] if command == "sig serve" else options)
    if isinstance(error, UnusedCliTokensError):
        return f"{command} does not take so many words: {' '.join(unused)!r} is left over"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        return f"{name} needs a value" if name.startswith("-") else f"{command} needs {name}"
    return str(error)


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    question = meant(word, known)
    return f"there is no {what} {word!r}" + (question and f": {question}")
