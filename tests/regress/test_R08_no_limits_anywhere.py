"""R08. Names of any type and size were taken; each has a limit and a sentence."""

from __future__ import annotations

from typing import Any

import pytest

import sig


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "a*", 5, None, ["x"], "/".join("abcdefghijklmnopq")])
def test_what_is_no_name_is_refused_at_the_caller(name: Any) -> None:
    with sig.Router() as router:
        with pytest.raises(sig.InvalidName):
            router.add_sender("s", [name])
        with pytest.raises(sig.InvalidName):
            router.add_sender(name, ["e"])
        assert router.senders() == []
