"""Types: an annotation or `type=` turns the data into a class of yours, and reports what does not fit."""

from dataclasses import dataclass

import sig


@dataclass
class Reading:
    celsius: float
    unit: str = "C"


with sig.Router() as router:
    router.on_error = lambda failed: print(f"{type(failed.error).__name__}: {failed.error}")

    @router.on("probe", "reading")
    def show(info, reading: Reading):
        print(reading)

    probe = router.add_sender("probe", events=["reading"], requests={"read": lambda params: {"celsius": 20}})
    probe.trigger("reading", {"celsius": 21.5})
    probe.trigger("reading", {"celsius": "warm"})
    print(router.request("probe", "read", type=Reading))
