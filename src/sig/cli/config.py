"""The file of `sig serve --config`: what the command line says, in TOML, and every mistake in it with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

import sig
from sig.carriers.address import default_url
from sig.constants import Limits
from sig.errors import InvalidArgument
from sig.security import Anonymous
from sig.spelling import meant


class TLSFiles(msgspec.Struct, kw_only=True, frozen=True):
    """The table `[tls]`."""

    cert: str | None = None
    key: str | None = None
    ca: str | None = None


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """What `sig serve` goes by. A key of the file has the name of its option."""

    urls: list[str] = []
    codec: Literal["json", "msgpack"] = "json"
    insecure_public: bool = False
    tokens: str | None = None
    anonymous: bool = False
    policy: str | None = None
    origins: list[str] = []
    hosts: list[str] = []
    tls: TLSFiles = TLSFiles()
    limits: dict[str, int | float] = {}

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `sig.serve`."""
        found: dict[str, Any] = {**self.limits, "codec": self.codec, "insecure_public": self.insecure_public}
        if self.tls != TLSFiles():
            found["tls"] = sig.TLS(cert=self.tls.cert, key=self.tls.key, ca=self.tls.ca)
        if self.tokens is not None:
            found["auth"] = [self.tokens, *[Anonymous()] * self.anonymous]
        if self.policy is not None:
            found["acl"] = self.policy
        if self.origins:
            found["origins"] = self.origins
        if self.hosts:
            found["hosts"] = self.hosts
        return found


class Given(msgspec.Struct, kw_only=True, frozen=True):
    """What the command line says: the same, where it says anything."""

    urls: list[str]
    codec: Literal["json", "msgpack"] | None
    insecure_public: bool
    tokens: str | None
    anonymous: bool
    policy: str | None
    origins: list[str]
    hosts: list[str]
    tls: TLSFiles
    limits: dict[str, float]

    def upon(self, settings: Settings) -> Settings:
        """The settings of a file, but for what is said here."""
        tls = {name: file for name, file in msgspec.structs.asdict(self.tls).items() if file is not None}
        return Settings(
            urls=self.urls or settings.urls or [default_url()],
            codec=self.codec or settings.codec,
            insecure_public=self.insecure_public or settings.insecure_public,
            tokens=self.tokens or settings.tokens,
            anonymous=self.anonymous or settings.anonymous,
            policy=self.policy or settings.policy,
            origins=self.origins or settings.origins,
            hosts=self.hosts or settings.hosts,
            tls=msgspec.structs.replace(settings.tls, **tls),
            limits={**settings.limits, **self.limits},
        )


# What may stand in each table, by name; the first is the top of the file.
_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "": Settings.__struct_fields__,
    "tls": TLSFiles.__struct_fields__,
    "limits": tuple(asdict(Limits())),
}
_HEADER: Final = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
# What is wrong and where, as msgspec says it.
_COMPLAINT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?", re.DOTALL)


def read(path: Path) -> Settings:
    """What a file says; paths in it are relative to it. Raises `InvalidArgument`, with the line, for any mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is no TOML: {error}") from None
    for table, known in _TABLES.items():
        inside = found.get(table, {}) if table else found
        if isinstance(inside, Mapping):
            _check_keys(path, text, table, inside, known)
            if table == "limits":
                _check_limits(path, text, inside)
    try:
        settings = msgspec.convert(found, Settings)
    except msgspec.ValidationError as error:
        told = _COMPLAINT.fullmatch(str(error))
        where = (told["where"] or "") if told is not None else ""
        raise InvalidArgument(f"{_place(path, text, where)}: {told['what'] if told is not None else error}") from None
    tls = {name: str(path.parent / file) for name, file in msgspec.structs.asdict(settings.tls).items() if file}
    beside = {name: str(path.parent / file) for name in ("tokens", "policy") if (file := getattr(settings, name))}
    return msgspec.structs.replace(settings, tls=TLSFiles(**tls), **beside)


def show(settings: Settings) -> str:
    """A file that says the same, every limit and every key included."""
    return "\n".join(_lines(settings)) + "\n"


def _check_keys(path: Path, text: str, table: str, found: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in found:
        if key in known:
            continue
        elsewhere = next((name for name, keys in _TABLES.items() if key in keys), None)
        if elsewhere is not None:
            hint = f"it belongs into [{elsewhere}]" if elsewhere else "it belongs to the top, before all tables"
        else:
            hint = meant(key.replace("-", "_"), known) or f"known are {', '.join(known)}"
        where = f"{table}.{key}" if table else key
        raise InvalidArgument(f"{_place(path, text, where)}: there is no such key; {hint}")


def _check_limits(path: Path, text: str, found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        try:
            Limits.of(**{name: value})
        except InvalidArgument as error:
            raise InvalidArgument(f"{_place(path, text, f'limits.{name}')}: {error}") from None


def _place(path: Path, text: str, where: str) -> str:
    """A key of the file, with the line where it stands, if that can be told."""
    table, _, key = where.rpartition(".")
    key = re.sub(r"\[.*", "", key)
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            inside = header[1]
            if inside == key and not table:
                return f"{path}, line {number}, [{key}]"
        elif inside == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f"{path}, line {number}, {where}"
    return f"{path}, {where}" if where else str(path)


def _lines(settings: Settings) -> Iterator[str]:
    yield "# sig serve --config THIS_FILE; what the command line says goes before."
    for name in ("urls", "codec", "insecure_public", "tokens", "anonymous", "policy", "origins", "hosts"):
        value = getattr(settings, name)
        yield f'# {name} = "{name}.toml"' if value is None else f"{name} = {json.dumps(value)}"
    yield "\n[tls]"
    for name, file in msgspec.structs.asdict(settings.tls).items():
        yield f"{name} = {json.dumps(file)}" if file else f'# {name} = "{name}.pem"'
    yield "\n[limits]"
    for name, value in asdict(Limits.of(**settings.limits)).items():
        yield f"{name} = {value}{_in_words(name, value)}"


def _in_words(name: str, value: float) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if name.endswith("_bytes") and value >= size and not value % size:
            return f"  # {value // size} {unit}"
    return ""
