"""The file of credentials: what is written is read back, and what is broken lets nobody in."""

from __future__ import annotations

from contextlib import suppress
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import InvalidArgument
from sig.security.credentials import (
    Credential,
    CredentialsError,
    check_identity,
    format_credentials,
    parse_credentials,
)
from sig.security.proof import Cost

ALICE = Credential("alice", "00" * 8, b"\x01" * 32, ("operators", 'with "quotes"'), 1_900_000_000.0)
BOB = Credential("bob", "bob", b"\x02" * 32, salt=b"s" * 16, cost=Cost(2**14, 8, 2))
TEXT = format_credentials([ALICE, BOB])


def test_what_is_written_is_read_back() -> None:
    assert parse_credentials(TEXT) == {ALICE.login: ALICE, "bob": BOB}
    assert parse_credentials("") == {}


def test_a_credential_is_somebodys() -> None:
    assert (ALICE.identity.name, ALICE.identity.source, ALICE.identity.expires) == ("alice", "token", 1_900_000_000.0)
    assert (BOB.identity.groups, BOB.identity.source, BOB.identity.expires) == ((), "password", inf)


@given(st.integers(0, len(TEXT)))
def test_a_file_that_was_cut_off_lets_in_nobody_new_and_nobody_for_longer(size: int) -> None:
    try:
        found = parse_credentials(TEXT[:size])
    except CredentialsError:
        return
    assert list(found.values()) == [ALICE, BOB][: len(found)]


@given(st.text())
def test_whatever_a_file_says_there_is_one_kind_of_error(text: str) -> None:
    with suppress(CredentialsError):
        assert parse_credentials(text) == {}


GOOD = '[[credential]]\nname = "a"\ntoken = "t"\nverifier = "' + "00" * 32 + '"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = [", "no TOML"),
        ("[credentials]", "no table 'credentials': did you mean 'credential'?"),
        ("[credential]", "two brackets"),
        ("credential = [1]", "credential 1: it is no table"),
        (GOOD + GOOD, "credential 2: 't' is there twice"),
        (GOOD.replace("token", "tokens"), "no key 'tokens': did you mean 'token'?"),
        (GOOD.replace('name = "a"', ""), "name is missing"),
        (GOOD.replace('"a"', "1"), "name must be a text"),
        (GOOD.replace('"a"', '"*"'), "cannot be the name"),
        (GOOD.replace('"a"', '"anonymous"'), "cannot be the name"),
        (GOOD.replace("token =", "groups = 3\ntoken ="), "groups must be"),
        (GOOD.replace("token =", "groups = [3]\ntoken ="), "groups must be"),
        (GOOD.replace('token = "t"', ""), "one of token and password"),
        (GOOD.replace("token =", 'password = "x"\ntoken ='), "one of token and password"),
        (GOOD.replace("token =", "expires = 3\ntoken ="), "with its zone"),
        (GOOD.replace("token =", "expires = 2030-01-01T00:00:00\ntoken ="), "with its zone"),
        (GOOD.replace("00" * 32, "00"), "32 bytes"),
        (GOOD.replace("00" * 32, "xy"), "hexadecimal"),
        (GOOD.replace("verifier", "# "), "verifier is missing"),
        (GOOD.replace('token = "t"', 'password = "x"'), "scrypt:N:R:P:SALT"),
        (GOOD.replace('token = "t"', 'password = "scrypt:2:8:1:00"'), "scrypt:N:R:P:SALT"),
        (GOOD.replace('token = "t"', 'password = "scrypt:32768:8:1:"'), "scrypt:N:R:P:SALT"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(CredentialsError, match=None) as caught:
        parse_credentials(text, "c.toml")
    assert told in str(caught.value)
    assert str(caught.value).startswith("c.toml")


@pytest.mark.parametrize("name", ["", "a" * 256, "a\nb", "group:a", "*", "authenticated"])
def test_not_everything_is_a_name(name: str) -> None:
    with pytest.raises(InvalidArgument):
        check_identity(name)
