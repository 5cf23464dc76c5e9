"""`sig token`, `sig acl`, `sig clients`, `sig kick`, and a server that goes by their files."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cli.commands import at_terminal, line_of, only_line, running
from cli.conftest import Here

import sig
from sig.cli import output
from sig.security import Password

POLICY = """
[groups]
staff = ["bob"]

[[allow]]
name = "staff works"
who = "group:staff"
actions = ["own", "trigger", "listen", "list", "request"]
senders = "lab/**"

[[deny]]
who = "bob"
actions = "request"
senders = "lab/laser"
methods = "fire"

[[allow]]
who = "root"
actions = "admin"

[end]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def test_a_token_is_made_listed_and_taken_away(here: Here, tokens: Path) -> None:
    made = here("token", str(tokens), "alice", "--group", "staff", "--expires", "30d")
    assert made.code == 0
    text = only_line(made.out)
    assert text.startswith("sig1-")
    assert text.split("-", 2)[2] not in tokens.read_text()  # the secret may have a dash, too
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    second = json.loads(only_line(here("token", str(tokens), "alice", "--expires", "2030-01-31", "--json").out))
    assert second["name"] == "alice"
    assert here("token", str(tokens), "bob", "--password", text="pw\n").code == 0
    rows = [json.loads(line) for line in here("token", str(tokens)).out.splitlines()]
    assert [(row["name"], row["kind"], row["groups"]) for row in rows] == [
        ("alice", "token", ["staff"]),
        ("alice", "token", []),
        ("bob", "password", []),
    ]
    assert rows[1]["expires"] == 1_896_048_000
    assert here("token", str(tokens), rows[0]["id"], "--revoke").code == 0
    assert here("token", str(tokens), "bob", "--revoke").code == 0
    assert len(here("token", str(tokens)).out.splitlines()) == 1


def test_mistakes_change_nothing_and_say_what_to_do(here: Here, tokens: Path) -> None:
    for words, text, told in (
        (["alice", "--expires", "soon"], "", "is no time: write 90d"),
        (["group:x"], "", "cannot be the name"),
        (["bob", "--password"], "\n", "cannot be empty"),
        (["bob", "--revoke"], "", "sig token makes such a file"),
        ([], "", "sig token makes such a file"),
    ):
        done = here("token", str(tokens), *words, text=text)
        assert done.code == 2
        assert told in done.err
        assert not tokens.exists()
    here("token", str(tokens), "alice")
    assert "there is nobody of that name" in here("token", str(tokens), "bob", "--revoke").err
    assert "cannot be written" in here("token", str(tokens.parent / "none" / "x"), "alice").err


def test_a_policy_is_checked_with_line_and_column(here: Here, policy: Path) -> None:
    assert json.loads(only_line(here("acl", "check", str(policy)).out)) == {"rules": 3}
    policy.write_text(POLICY.replace("senders =", "sender =", 1))
    done = here("acl", "check", str(policy))
    assert done.code == 2
    assert f"{policy}, line 9, column 1: a rule has no key 'sender': did you mean 'senders'?" in done.err
    assert "cannot be read" in here("acl", "check", str(policy) + "x").err


def test_one_question_is_answered_with_the_rule(here: Here, policy: Path) -> None:
    def ask(*words: str) -> tuple[int, Any]:
        done = here("acl", "check", str(policy), *words)
        return done.code, json.loads(only_line(done.out))

    bob = ("--identity", "bob", "--action", "request", "--sender", "lab/laser", "--method")
    assert ask(*bob, "fire") == (5, {"allowed": False, "rule": "deny 1, line 11"})
    assert ask(*bob, "status") == (0, {"allowed": True, "rule": "staff works"})
    assert ask("--action", "listen", "--sender", "lab/oven", "--event", "done")[0] == 5
    assert ask("--identity", "carl", "--group", "staff", "--action", "own", "--sender", "lab/x")[0] == 0
    assert "did you mean 'listen'?" in here("acl", "check", str(policy), "--action", "lisen").err


def test_the_rules_about_somebody_are_shown(here: Here, policy: Path) -> None:
    rows = [json.loads(line) for line in here("acl", "explain", str(policy), "--identity", "bob").out.splitlines()]
    assert [(row["effect"], row["rule"]) for row in rows] == [("allow", "staff works"), ("deny", "deny 1, line 11")]
    assert here("acl", "explain", str(policy)).out == ""


def test_people_get_tables_and_sentences(policy: Path, tokens: Path, url: str) -> None:
    assert "is not shown again" in at_terminal("token", str(tokens), "alice", "--expires", "1h")
    assert "denied: no rule allows it" in at_terminal("acl", "check", str(policy), "--action", "list", code=5)
    with sig.connect(url, name="hall 2"):
        assert "hall 2" in at_terminal("clients", "--url", url)


def test_people_get_tables_of_what_is_in_a_file(
    here: Here, policy: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here("token", str(tokens), "alice", "--expires", "1h")
    monkeypatch.setattr(output.Output, "__init__", lambda self, json: setattr(self, "json", False))
    assert "alice" in here("token", str(tokens)).out
    shown = here("acl", "explain", str(policy), "--identity", "bob")
    assert "staff works" in shown.out
    assert "bob is bob, *, authenticated, group:staff" in shown.err
    assert "3 rules" in here("acl", "check", str(policy)).err


def test_clients_are_listed_and_sent_away(here: Here, url: str) -> None:
    with sig.connect(url, name="hall 2", reconnect=False) as client:
        rows = [json.loads(line) for line in here("clients").out.splitlines()]
        (row,) = [row for row in rows if row["name"] == "hall 2"]
        assert (row["identity"], row["source"]) == ("anonymous", "none")
        assert here("kick", str(row["client"]), "--reason", "enough").out == "1\n"
        with pytest.raises(sig.ConnectionLost, match="you have been sent away: enough"):
            client.wait(10)
    done = here("kick", "nobody")
    assert (done.code, done.out) == (1, "0\n")
    assert "`sig clients` lists who is connected" in only_line(done.err)


def test_a_server_goes_by_the_files_and_follows_them(
    here: Here, policy: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = only_line(here("token", str(tokens), "root").out)
    here("token", str(tokens), "bob", "--password", text="pw\n")
    with running("serve", "tcp://127.0.0.1:0", "--tokens", str(tokens), "--policy", str(policy)) as process:
        url = line_of(process).split()[1]
        with pytest.raises(sig.Denied, match="wants to know who you are"):
            sig.connect(url)
        assert here("senders", "--url", url).code == 5
        monkeypatch.setenv("SIG_TOKEN", token)
        assert [json.loads(line)["identity"] for line in here("clients", "--url", url).out.splitlines()] == ["root"]
        with sig.connect(url, auth=Password("bob", "pw"), reconnect=False) as bob:
            bob.add_sender("lab/oven", "done")
            with pytest.raises(sig.Denied, match="no rule allows it"):
                bob.add_sender("hall/oven", "done")
            assert here("token", str(tokens), "bob", "--revoke").code == 0
            with pytest.raises(sig.ConnectionLost, match="holds no more"):
                bob.wait(20)
    assert os.path.exists(tokens)
