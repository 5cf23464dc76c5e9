"""Tests in asyncio, with pytest-asyncio: `sig.testing.aio` has the same names, awaited."""

import pytest

from sig.testing.aio import capture, pair, settle


@pytest.mark.asyncio
async def test_a_thermostat():
    async with pair() as (server, client):
        heard = await capture(client, "thermostat")
        async with server.add_sender("thermostat", "changed") as thermostat:
            thermostat.trigger("changed", 21.5)
        await heard.wait(3)
        assert [event for _, event in heard.names] == ["#connect", "changed", "#disconnect"]
        await settle(server, client)
        assert len(heard) == 3
