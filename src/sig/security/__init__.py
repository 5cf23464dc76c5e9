"""Who may come in, and who may do what: identities, and the policy that a server holds them to."""

from sig.security.identity import ANONYMOUS, Identity
from sig.security.policy import Decision, Policy, PolicyError, Rule, allow, deny
from sig.security.policyfile import parse_policy
from sig.security.secret import Secret

__all__ = [
    "ANONYMOUS",
    "Decision",
    "Identity",
    "Policy",
    "PolicyError",
    "Rule",
    "Secret",
    "allow",
    "deny",
    "parse_policy",
]
