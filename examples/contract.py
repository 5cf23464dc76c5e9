"""A contract: what a thermostat offers, written once as a class, for its owner and for all who use it."""

from dataclasses import dataclass

import sig


@dataclass
class Reading:
    celsius: float
    unit: str = "C"


class Thermostat(sig.Contract):
    changed: sig.EventOf[Reading]

    def set_target(self, celsius: float) -> float:
        raise NotImplementedError


class Valve(Thermostat):
    """One of them. What it adds is nobody else's business."""

    def __init__(self) -> None:
        self.target = 20.0

    def set_target(self, celsius: float) -> float:
        before, self.target = self.target, celsius
        self.changed.trigger(Reading(celsius))
        return before


with sig.serve("local://home"), sig.connect("local://home") as owner, sig.connect("local://home") as caller:
    valve = owner.add_sender("hall/valve", Valve())

    thermostat = caller.sender("hall/valve").typed(Thermostat)
    changes = thermostat.changed.events()
    print("it was", thermostat.set_target(21.5))
    print(changes.get(timeout=10).data)

    try:
        thermostat.set_target("warm")
    except sig.RequestFailed as refused:
        print(refused.code, "-", refused)
    try:
        valve.changed.trigger({"celsius": None})
    except sig.InvalidData as error:
        print(error)
