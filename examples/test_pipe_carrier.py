"""Tests of pipe_carrier.py: whether it keeps what every carrier has to keep."""

import multiprocessing
from contextlib import contextmanager

import pytest
from pipe_carrier import PipeClient, PipeServer

from sig.testing import Ends, carrier_checks


@contextmanager
def pipe():
    ours, theirs = multiprocessing.Pipe()
    yield Ends(
        serve=lambda api, **options: api.serve(PipeServer(ours), **options),
        connect=lambda api, server, **options: api.connect(PipeClient(theirs), **options),
        clients=1,  # it has two ends, and no more
    )


@pytest.mark.parametrize("check", carrier_checks("blocking"), ids=lambda check: check.name)
def test_in_the_blocking_face(check):
    check.run(pipe)


@pytest.mark.parametrize("check", carrier_checks("asyncio"), ids=lambda check: check.name)
def test_in_asyncio(check):
    check.run(pipe)
