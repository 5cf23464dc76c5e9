"""Tables fit a terminal of 80 columns."""

from __future__ import annotations

from rich.console import Console

from sig.cli.tables import of_texts

HEADS = ("client", "identity", "by", "address")


def shown(*rows: tuple[str, ...]) -> list[str]:
    console = Console(width=80)
    with console.capture() as seen:
        console.print(of_texts(HEADS, rows))
    return [line.rstrip() for line in seen.get().splitlines()]


def test_columns_in_which_nothing_stands_are_left_out() -> None:
    assert shown(("1", "alice", "", "local"), ("2", "", "", "")) == [
        "client  identity  address",
        "1       alice     local",
        "2",
    ]


def test_what_does_not_fit_is_folded_and_not_cut() -> None:
    lines = shown(("1", "a" * 100, "token", "tcp://127.0.0.1:48428"))
    assert max(map(len, lines)) <= 80
    assert "".join(lines).count("a") == 100 + "identity address".count("a")


def test_markup_is_text() -> None:
    assert "[red]x" in shown(("1", "[red]x", "", ""))[1]
