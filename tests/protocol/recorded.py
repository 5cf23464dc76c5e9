"""The recorded frames: bytes written by hand after the specification, which no change of the code may change.

A vector is a list of pieces: bytes in hexadecimal (spaces for the eye), or `{"text": ...}` for its UTF-8.
"""

from __future__ import annotations

import json
from pathlib import Path


def load() -> dict[str, bytes]:
    text = (Path(__file__).parent / "vectors" / "v1.json").read_text(encoding="utf-8")
    vectors: dict[str, list[str | dict[str, str]]] = json.loads(text)
    return {name: b"".join(map(_bytes, pieces)) for name, pieces in vectors.items()}


def _bytes(piece: str | dict[str, str]) -> bytes:
    return bytes.fromhex(piece) if isinstance(piece, str) else piece["text"].encode()


PREFACE = load()["preface"]
FRAMES = {name: data for name, data in load().items() if name != "preface"}
