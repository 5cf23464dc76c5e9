"""Who may do what: a policy of a few rules, for clients that log in with passwords, and for others."""

import secrets
import tempfile
import threading
from pathlib import Path

import sig
from sig.security import Anonymous, Credentials, Password, Policy, Secret, allow, deny
from sig.security.credentials import Credential
from sig.security.proof import Cost, password_key, verifier


def password(name: str, text: str) -> Credential:
    """What `sig token FILE NAME --password` writes into the file."""
    salt, cost = secrets.token_bytes(16), Cost()
    return Credential(name, name, verifier(password_key(Secret(text), salt, cost)), salt=salt, cost=cost)


policy = Policy(
    [
        allow("group:lab", ["own", "trigger", "request", "list"], "lab/**"),
        deny("panel", "request", "lab/laser", methods="fire", name="nobody fires from a panel"),
        allow("*", "listen", "lab/**", events="status"),
    ],
    groups={"lab": ["laser", "panel"]},
)

with tempfile.TemporaryDirectory() as folder:
    known = Credentials(Path(folder, "tokens.toml"))
    known.save([password("laser", "beam"), password("panel", "glass")])

    with sig.serve("tcp://127.0.0.1:0", auth=[known, Anonymous()], acl=policy) as server:
        url = server.urls[0]
        with (
            sig.connect(url, auth=Password("laser", "beam")) as laser,
            sig.connect(url, auth=Password("panel", "glass")) as panel,
            sig.connect(url) as visitor,
        ):
            requests = {"mode": lambda params: "idle", "fire": print}
            sender = laser.add_sender("lab/laser", ["status", "alarm"], requests)
            heard = threading.Event()

            @visitor.on("lab/**")
            def on_event(info, data):
                print("the visitor hears", info.event, data)
                heard.set()

            sender.trigger("alarm", "door open")
            sender.trigger("status", "warming up")
            heard.wait(10)

            print("the panel asks for its mode:", panel.request("lab/laser", "mode"))
            for ask in (
                lambda: panel.request("lab/laser", "fire"),
                lambda: visitor.request("lab/laser", "mode"),
                lambda: visitor.listen(print, "office/door"),
            ):
                try:
                    ask()
                except sig.Denied as denied:
                    print(denied)
        try:
            sig.connect(url, auth=Password("laser", "guess"))
        except sig.Denied as denied:
            print(denied)
