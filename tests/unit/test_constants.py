"""Limits: what they are by default, and what nobody can set them to."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.constants import (
    CHANNEL_DECORATOR,
    CONTROL_MAX_DEPTH,
    DEFAULT_PORT,
    EVENT_AUDIT,
    EVENT_CONNECT,
    EVENT_DISCONNECT,
    NAME_MAX_BYTES,
    NAME_MAX_LEVELS,
    RESERVED_EVENTS,
    Limits,
)
from sig.errors import InvalidArgument

NAMES = [field.name for field in dataclasses.fields(Limits)]
SECONDS = [name for name in NAMES if name.endswith("_s")]
WHOLE = [name for name in NAMES if not name.endswith("_s")]

MIB = 1024 * 1024


def test_the_names_that_are_agreed_on() -> None:
    assert (EVENT_CONNECT, EVENT_DISCONNECT, EVENT_AUDIT) == ("#connect", "#disconnect", "#audit")
    assert RESERVED_EVENTS == ("#connect", "#disconnect", "#audit")
    assert CHANNEL_DECORATOR == "#"
    assert DEFAULT_PORT == 3000
    assert (NAME_MAX_BYTES, NAME_MAX_LEVELS, CONTROL_MAX_DEPTH) == (255, 16, 64)


def test_the_defaults_are_those_of_the_reference() -> None:
    assert dataclasses.asdict(Limits()) == {
        "max_frame_bytes": 16 * MIB,
        "max_control_frame_bytes": 1024 * 1024,
        "max_frame_before_login_bytes": 16 * 1024,
        "max_bridged_bytes": MIB,
        "link_drop_bytes": 16 * MIB,
        "link_cut_bytes": 64 * MIB,
        "link_control_bytes": 4 * MIB,
        "memory_bytes": 256 * MIB,
        "listener_queue_events": 65_536,
        "listener_queue_bytes": 16 * MIB,
        "group_prefetch": 16,
        "send_window_bytes": 1 * MIB,
        "send_timeout_s": 10,
        "reconnect_first_s": 0.5,
        "reconnect_longest_s": 30,
        "presence_grace_s": 5,
        "session_s": 120,
        "resend_bytes": 4 * MIB,
        "offline_bytes": 4 * MIB,
        "offline_s": 30,
        "request_timeout_s": 30,
        "request_timeout_max_s": 600,
        "stream_idle_s": 30,
        "request_hops": 16,
        "requests_out": 1_000,
        "requests_in": 256,
        "request_workers": 8,
        "connect_timeout_s": 10,
        "handshake_timeout_s": 10,
        "write_stall_s": 10,
        "heartbeat_s": 10,
        "heartbeat_timeout_s": 25,
        "close_timeout_s": 5,
        "flush_timeout_s": 30,
        "max_connections": 10_000,
        "max_pending_handshakes": 1_000,
        "max_pending_per_source": 100,
        "max_accepts_per_s": 2_000,
        "reserve_descriptors": 32,
        "retry_after_s": 1,
        "drain_timeout_s": 10,
        "max_subscriptions": 10_000,
        "max_subscriptions_total": 1_000_000,
        "interest_timeout_s": 5,
        "send_outbox_bytes": 16 * 1024 * 1024,
        "max_events": 10_000,
        "max_names": 1_000,
    }


@given(st.dictionaries(st.sampled_from(WHOLE), st.integers(1, 2**40)))
def test_only_what_is_named_changes(options: dict[str, int]) -> None:
    assert dataclasses.asdict(Limits.of(**options)) == {**dataclasses.asdict(Limits()), **options}


def test_limits_can_be_compared_copied_and_pickled_but_not_changed() -> None:
    limits = Limits.of(max_names=5)
    assert limits == Limits(max_names=5) == copy.copy(limits) == pickle.loads(pickle.dumps(limits))
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.max_names = 6  # type: ignore[misc]


def test_seconds_may_be_a_fraction() -> None:
    assert Limits.of(close_timeout_s=0.25).close_timeout_s == 0.25


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, True, "5", None, float("nan"), float("inf")])
def test_a_limit_is_a_positive_number(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} must be a .* above zero, not {value!r}$"):
        Limits.of(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WHOLE)
def test_bytes_and_counts_are_whole(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{name} must be a whole number above zero, not 2.5"):
        Limits.of(**{name: 2.5})


@pytest.mark.parametrize(
    ("written", "meant"),
    [("max_frame_byte", "max_frame_bytes"), ("close_timeout", "close_timeout_s"), ("max_name", "max_names")],
)
def test_a_misspelt_option_is_told_its_right_name(written: str, meant: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^there is no option '{written}'; did you mean '{meant}'?"):
        Limits.of(**{written: 5})


def test_an_option_like_no_other_is_told_all_of_them() -> None:
    with pytest.raises(InvalidArgument, match="no option 'qqqq'; the limits are max_frame_bytes, .*, max_names$"):
        Limits.of(qqqq=5)
