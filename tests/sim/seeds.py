"""Seeds that once failed, each with what it found. They are played with every run of the tests, as long as they were.

A seed is a history only of the code that it was found with: the drift of an unrelated change makes another of it. What
is to be kept for good has a test of its own, named here.
"""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    seed: int
    length_s: float
    what: str


FOUND = (
    Found(22, 30, "who listened while its link was away was given what it had heard again, as the last value"),
    Found(32, 60, "who listened to its own sender could not trigger any more after it came back (test_absences)"),
    Found(56, 60, "what a member of a group had had was told as missed to who had heard more (test_reconnect)"),
    Found(90, 60, "events under way of a sender that had left were told as lost of another (test_client)"),
    Found(200, 60, "who was back from a server that was no more missed unknown events in silence (test_returned)"),
    Found(275, 60, "who has senders wait was told as missed what it had had two links before (test_reconnect)"),
    Found(689, 60, "what came for a client before its next listener was registered again was not told (test_returned)"),
    Found(1023, 60, "who has senders wait was not told what came before it was registered again (test_absences)"),
    Found(98, 60, "a last value that had come as an event was told again to who was back (test_reconnect)"),
    Found(10983, 60, "nobody was told what it missed of a sender that came and left while it was away (test_absences)"),
    Found(40577, 60, "who has senders wait was told as missed what another listener had heard (test_lanes)"),
    Found(10520, 60, "who listened while its link was away heard what had been routed before"),
    Found(50295, 60, "of those who share a name, one that had left spoke for all of them (test_replicas)"),
    Found(50388, 60, "what a member of a group was told late was taken for what others knew (test_reconnect)"),
    Found(40798, 60, "a lane that began with lost events told a number that its route never had (test_lanes)"),
    Found(51408, 60, "losses that were said on a link that was lost meanwhile were told twice (test_registry)"),
    Found(51449, 60, "an owner that was told of its route as a listener forgot what it had held back (test_owning)"),
    Found(30503, 60, "what was kept for the next of a name was lost when the one before was gone (test_owning)"),
    Found(51568, 60, "who has senders wait was told twice what it had missed over two losses (test_returned)"),
    Found(70007, 60, "nobody was told what was kept for a name that had become another's (test_owning)"),
    Found(71966, 60, "a name that was granted late was asked for ever after by its own owner"),
    Found(72304, 60, "what an owner had lost was told before what waited for who has senders wait (test_line)"),
)
