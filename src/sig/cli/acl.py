"""`sig acl`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from sig.cli import errors
from sig.cli.options import Json
from sig.cli.output import Output, as_json
from sig.cli.tables import of_texts, printable
from sig.errors import InvalidArgument
from sig.security.files import load_policy
from sig.security.identity import ANONYMOUS, Identity
from sig.security.policy import ACTIONS, Policy, Rule, nearest

EXAMPLES = """Examples:

    sig acl check policy.toml                  is it right?
    sig acl check policy.toml --identity bob --action listen --sender lab/laser
                                               may he? exit code 5 if not
    sig acl explain policy.toml --identity alice
                                               all rules that are about her

Identities are called as in the policy: alice, uid:1000, cert:laser.lab; by
default anonymous. No server is asked.
"""


def acl(
    verb: Literal["check", "explain"],
    policy: Path,
    /,
    *,
    identity: Annotated[str | None, Parameter(show_default=False, help="who")] = None,
    group: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="a group it is in, beside those of the policy"),
    ] = (),
    action: Annotated[str | None, Parameter(show_default=False, help=f"one of {', '.join(ACTIONS)}")] = None,
    sender: Annotated[str, Parameter(show_default=False, help="the name of a sender")] = "",
    event: Annotated[str, Parameter(show_default=False, help="an event of it")] = "",
    method: Annotated[str, Parameter(show_default=False, help="a request of it")] = "",
    json: Json = False,
) -> int:
    """Check a policy, or what somebody may do by it and why.

    Parameters
    ----------
    verb
        check: one question, or none; explain: all rules that are about an identity
    policy
        the file
    """
    found, output = load_policy(policy), Output(json)
    who = ANONYMOUS if identity is None else Identity(identity, group)
    if verb == "explain":
        _explain(output, found, who)
        return errors.ANSWERED
    if action is None:
        rules = len(found.rules)
        if output.json:
            print(as_json({"rules": rules}))
        output.remark(f"{policy} is right: {rules} rule{'s' * (rules != 1)}")
        return errors.ANSWERED
    if action not in ACTIONS:
        raise InvalidArgument(f"there is no action {action!r}{nearest(action, ACTIONS)}")
    decision = found.decide(who, action, sender, method if action == "request" else event)
    if output.json:
        rule = None if decision.rule is None else str(decision.rule)
        print(as_json({"allowed": decision.allowed, "rule": rule}))
    else:
        print(f"{'allowed' if decision.allowed else 'denied'}: {printable(decision.reason)}")
    return errors.ANSWERED if decision.allowed else errors.DENIED


def _explain(output: Output, policy: Policy, who: Identity) -> None:
    subjects = policy.subjects(who)
    found = [rule for rule in policy.rules if any(each in subjects for each in rule.who)]
    if output.json:
        for rule in found:
            print(as_json(_row(rule)), flush=True)
        return
    output.remark(f"{who.name} is {', '.join(subjects)}; what no rule allows is denied, and a rule that denies wins")
    rows = [_cells(rule) for rule in found]
    shown = of_texts(("", "rule", "actions", "senders", "events", "methods"), rows)
    Console(highlight=False).print(shown if found else "no rule is about it")


def _cells(rule: Rule) -> list[str]:
    names = map(_some, (rule.actions, rule.senders, rule.events, rule.methods))
    return ["allow" if rule.allow else "deny", str(rule), *names]


def _row(rule: Rule) -> dict[str, object]:
    return {
        "effect": "allow" if rule.allow else "deny",
        "rule": str(rule),
        "who": rule.who,
        "actions": rule.actions,
        "senders": rule.senders,
        "events": rule.events,
        "methods": rule.methods,
    }


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "all"
