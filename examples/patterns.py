"""Patterns: `*` is one level of a name, `**` is the rest, `None` is anything."""

import sig

with sig.Router() as router:
    router.listen(lambda info, data: print("  anything       ", info.sender, info.event))
    router.listen(lambda info, data: print("  plant/*        ", info.sender, info.event), "plant/*", "state")
    router.listen(lambda info, data: print("  plant/**       ", info.sender, info.event), "plant/**", "state")
    router.listen(lambda info, data: print("  plant/*/1 state", info.sender, info.event), "plant/*/1", "state")

    senders = [router.add_sender(name, events=["state"]) for name in ("plant/boiler", "plant/pump/1", "office/lamp")]
    for sender in senders:
        print(sender.name)
        sender.trigger("state", "on")
    print("leaving")
