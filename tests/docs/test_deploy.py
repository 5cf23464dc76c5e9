"""What the page about deployment shows is what a server takes, and says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from sig.cli.config import read
from sig.constants import Limits
from sig.errors import InvalidArgument
from sig.stats import Totals

from .pages import DOCS, blocks

PAGE = DOCS / "howto" / "deploy.md"


def test_the_file_is_one_that_a_server_takes(tmp_path: Path) -> None:
    [text] = blocks(PAGE, "toml")
    path = tmp_path / "sig.toml"
    path.write_text(text)
    assert read(path).limits == {"max_connections": 2000}
    path.write_text(text.replace("max_connections", "max_conections"))
    with pytest.raises(InvalidArgument) as caught:
        read(path)
    assert f"sig: {str(caught.value).removeprefix(f'{tmp_path}/')}\n" in PAGE.read_text(encoding="utf-8")


def test_every_number_and_limit_to_watch_is_one() -> None:
    page = (DOCS / "howto" / "operate.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows
    for row in rows:
        assert row.split("`")[1] in Totals.__struct_fields__
    limits = [field.name for field in fields(Limits)]
    named = [word for word in page.split("`")[1::2] if word.startswith(("max_", "link_", "reserve_", "retry_"))]
    assert [word for word in named if word not in limits] == []
