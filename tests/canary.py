"""How secrets look in tests, so that they are found wherever they should not be."""

from __future__ import annotations

import re

CANARY = "S3CR3T"
# Tokens have a form; their first part is no secret.
_SECRET = re.compile(rf"{CANARY}|sig1-[0-9a-f]{{16}}-[A-Za-z0-9_-]{{40,}}")


def shows_a_secret(text: str) -> bool:
    return _SECRET.search(text) is not None
