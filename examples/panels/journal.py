"""Writes down what comes, and who."""

import sig


@sig.on("plant/**", "state")
@sig.on(event="#alarm")
def write(info, data):
    print("journal:", info.sender, info.event, data)


@sig.on(event="#connect")
def welcome(info, data):
    print("journal:", info.sender, "is here")
