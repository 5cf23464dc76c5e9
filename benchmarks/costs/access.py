"""What a policy costs: the server's core with a thousand rules, beside one without any, in the same rounds.

What a rule says of a route is found out when somebody comes to listen, and of a request with the first of its method:
none that follows should cost more. No I/O here, which would only hide what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TypeAlias

from benchmarks.costs import forward, volley
from benchmarks.costs.rows import QUICK, Effort, Measure, Outcome
from benchmarks.progress import say
from benchmarks.rounds import ratios, rotated, spread
from benchmarks.tables import Table, cell, whole
from sig.security.policy import Policy, allow, deny

ROUNDS = 15
RULES = 1_000
# What must be left of the throughput without a policy.
SHARE = 0.95

Way: TypeAlias = Callable[[Policy | None], AbstractContextManager[Measure]]
WAYS: dict[str, Way] = {
    "events: 1 receiver, 1 in a frame": lambda policy: forward.forwarding(1, 1, 1, apart=False, policy=policy),
    "events: 10 receivers, 16 in a frame": lambda policy: forward.forwarding(10, 16, 1, apart=False, policy=policy),
    "events: 10 receivers, 64 of 100 routes in a frame": lambda policy: forward.forwarding(
        10, 64, 100, apart=False, policy=policy
    ),
    "requests: there and back": lambda policy: volley.volleys((1, 4), policy),
}


def rules(count: int = RULES) -> Policy:
    """So many, of which few are about the clients that are measured: they are of other people, or of other senders."""
    may = allow("*", ["own", "trigger", "listen", "request"], forward.SENDER)
    others = [deny("anonymous", "listen", f"private/{n}") for n in range(0, count - 1, 2)]
    others += [allow(f"user-{n}", ["listen", "request"], f"lab/{n}/**") for n in range(1, count - 1, 2)]
    return Policy([may, *others])


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """Measure: everything in each round, with and without."""
    effort = QUICK if quick else Effort()
    policy = rules()
    figures: dict[str, dict[bool, list[float]]] = {name: {False: [], True: []} for name in WAYS}
    with ExitStack() as ends:
        jobs = {
            (name, held): ends.enter_context(way(policy if held else None))
            for name, way in WAYS.items()
            for held in (False, True)
        }
        for number, (name, held) in rotated(list(jobs), rounds):
            say(f"access, round {number + 1} of {rounds}: {name}, {RULES if held else 'no'} rules")
            figures[name][held] += jobs[name, held](effort)
    told = [
        {"way": name, "ns": [f * 1e9 for f in found[False]], "ns_with_rules": [f * 1e9 for f in found[True]]}
        for name, found in figures.items()
    ]
    return Outcome({"rules": RULES, "rows": told}, [_table(figures)])


def _table(figures: dict[str, dict[bool, list[float]]]) -> Table:
    rows = []
    for name, found in figures.items():
        shares = spread(ratios(found[False], found[True]))  # seconds: fewer are more events
        without, held = (spread([figure * 1e9 for figure in found[which]]) for which in (False, True))
        verdict = "reached" if shares.median >= SHARE else "missed"
        rows.append([name, cell(without, whole), cell(held, whole), cell(shares, "{:.3f}".format), verdict])
    head = ["", "no policy, ns", f"{RULES:,} rules, ns", "of the throughput", f"must {SHARE}"]
    return Table("what a policy costs in the server, for an event or a request", head, rows)
