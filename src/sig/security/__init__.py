"""Who may come in, and who may do what: identities, and the policy that a server holds them to."""

from sig.protocol.login import Bearer, Password
from sig.security.files import Credentials, load_policy
from sig.security.identity import ANONYMOUS, Anonymous, Identity, Login
from sig.security.policy import Decision, Policy, PolicyError, Rule, allow, deny
from sig.security.policyfile import parse_policy
from sig.security.secret import Secret

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "Bearer",
    "Credentials",
    "Decision",
    "Identity",
    "Login",
    "Password",
    "Policy",
    "PolicyError",
    "Rule",
    "Secret",
    "allow",
    "deny",
    "load_policy",
    "parse_policy",
]
