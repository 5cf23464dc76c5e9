"""R57. An import path could not be imported; those of 0.7 that exist today can."""

from __future__ import annotations

import importlib

import pytest

import sig


@pytest.mark.parametrize("path", ["sig.carrier.tcpserver", "sig.carrier.tcpclient", "sig.utils.replyqueue"])
def test_the_path_imports_and_says_what_it_has(path: str) -> None:
    module = importlib.import_module(path)
    for name in module.__all__:
        assert getattr(module, name)
    assert sig.__version__
