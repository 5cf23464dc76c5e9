"""A program that is tested: it heats as long as it is cold."""


class Heating:
    def __init__(self, router):
        self.on = False
        self.sender = router.add_sender("heating", "switched", [self.state])
        router.listen(self.measured, "thermostat", "changed")

    def measured(self, info, data):
        on = data["celsius"] < 20
        if on != self.on:
            self.on = on
            self.sender.trigger("switched", {"on": on})

    def state(self, params):
        return {"on": self.on}
