"""R39. A request to an unknown sender raised AttributeError."""

from __future__ import annotations

import pytest

import sig


def test_it_is_a_name_error_that_names_the_sender() -> None:
    with sig.Router() as router, pytest.raises(NameError, match="'nobody'") as caught:
        router.request("nobody", "m")
    assert isinstance(caught.value, sig.SenderNotConnected)
