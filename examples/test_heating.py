"""Tests of heating.py: `sig_router`, `sig_pair` and `sig_clock` come with pysig's plugin for pytest."""

from heating import Heating

from sig.testing import capture, settle


def test_it_heats_as_long_as_it_is_cold(sig_router):
    Heating(sig_router)
    heard = capture(sig_router, "heating")
    thermostat = sig_router.add_sender("thermostat", "changed")
    for celsius in (21, 18, 17, 20):
        thermostat.trigger("changed", {"celsius": celsius})
    assert heard.names == [("heating", "switched")] * 2
    assert heard.data == [{"on": True}, {"on": False}]


def test_it_works_over_a_link(sig_pair):
    server, client = sig_pair
    Heating(client)
    heard = capture(server, "heating", "switched")
    server.add_sender("thermostat", "changed").trigger("changed", {"celsius": 18})
    assert heard.wait(1).data == [{"on": True}]
    assert server.request("heating", "state") == {"on": True}


def test_nothing_is_switched_twice(sig_pair):
    server, client = sig_pair
    Heating(client)
    heard = capture(server, "heating", "switched")
    thermostat = server.add_sender("thermostat", "changed")
    thermostat.trigger("changed", {"celsius": 18})
    thermostat.trigger("changed", {"celsius": 17})
    settle(server, client)  # whatever is to come has come
    assert len(heard) == 1


def test_data_of_another_form_is_an_error(sig_router):
    errors = []
    sig_router.on_error = errors.append  # else the test would fail
    Heating(sig_router)
    sig_router.add_sender("thermostat", "changed").trigger("changed", {"fahrenheit": 70})
    assert isinstance(errors[0].error, KeyError)


def test_when_it_came(sig_router, sig_clock):
    sig_clock.advance(60)
    Heating(sig_router)
    [heating] = sig_router.senders("heating")
    assert heating.since == sig_clock.wall()
