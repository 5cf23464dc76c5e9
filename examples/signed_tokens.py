"""An authenticator of your own: clients log in with JSON Web Tokens that somebody else has signed."""

import time

import jwt

import sig
from sig.security import Bearer, Identity, Login, Policy, allow

KEY = "shared by whoever signs and the server; 32 bytes or more"


def look(login: Login) -> Identity:
    """Called on a thread of its own for everybody who comes."""
    try:
        claims = jwt.decode(login.text.reveal(), KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError as error:
        raise sig.Denied(f"the token is not good: {error}") from None
    return Identity(f"jwt:{claims['sub']}", groups=tuple(claims.get("groups", ())), expires=claims["exp"])


def token(seconds: float) -> str:
    claims = {"sub": "alice", "groups": ["staff"], "exp": time.time() + seconds}
    return jwt.encode(claims, KEY, algorithm="HS256")


policy = Policy([allow("group:staff", ["own", "list"], "office/**")], groups={"staff": []})

with sig.serve("tcp://127.0.0.1:0", auth=look, acl=policy) as server:
    with sig.connect(server.urls[0], auth=Bearer(lambda: token(60))) as client:  # a new one whenever a link comes up
        client.add_sender("office/door", "open")
        print([sender.name for sender in client.senders()])
    for given in (token(-1), "no token at all"):
        try:
            sig.connect(server.urls[0], auth=Bearer(given))
        except sig.Denied as denied:
            print(denied)
