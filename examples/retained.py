"""Retained values: who comes later is told the last one first."""

import sig

with sig.Router() as router:
    thermostat = router.add_sender("thermostat", events=["changed", "pressed"], retain=["changed"])
    thermostat.trigger("changed", 20.0)
    thermostat.trigger("changed", 21.5)
    thermostat.trigger("pressed", "up")

    @router.on("thermostat", initial=True)
    def show(info, data):
        print("before" if info.initial else "now   ", info.event, data)

    thermostat.trigger("changed", 22.0)

    info, data = router.last("thermostat", "changed")
    print("last:", data)
