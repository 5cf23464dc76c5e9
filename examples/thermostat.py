"""Requests: what a sender answers, refuses, and does not know."""

import sig


class Thermostat:
    def __init__(self, router):
        self.target = 20.0
        self.sender = router.add_sender("thermostat", events=["changed"], requests=[self.read, self.set_target])

    def read(self, params):
        return {"target": self.target}

    def set_target(self, params):
        celsius = params["celsius"]
        if not 5 <= celsius <= 30:
            raise sig.RequestFailed(f"{celsius} degrees is out of range", code="range")
        self.target = celsius
        self.sender.trigger("changed", {"celsius": celsius})


with sig.Router() as router:
    router.listen(lambda info, data: print("changed:", data["celsius"]), "thermostat", "changed")
    Thermostat(router)

    thermostat = router.sender("thermostat")  # how others see it: a view, by name
    print(thermostat.request("read"))
    print(thermostat.request("set_target", {"celsius": 22.5}))
    try:
        thermostat.request("set_target", {"celsius": 451})
    except sig.RequestFailed as error:
        print("refused:", error, f"[{error.code}]")
    try:
        thermostat.request("self_destruct")
    except sig.MethodNotFound as error:
        print("unknown:", error)
    try:
        router.request("boiler", "read")
    except sig.SenderNotConnected as error:
        print("absent:", error)
