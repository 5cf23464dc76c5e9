"""Types at the sender: data of an event is checked when it is triggered, and parameters when they are asked with."""

import msgspec

import sig


class Reading(msgspec.Struct):
    celsius: float
    unit: str = "C"


def convert(params: Reading) -> float:
    return params.celsius * 9 / 5 + 32


with sig.Router() as router:
    probe = router.add_sender("probe", {"reading": Reading}, [convert])
    router.listen(lambda info, data: print(data), "probe", "reading")

    probe.trigger("reading", Reading(21.5))
    probe.trigger("reading", {"celsius": 22})
    for call in (
        lambda: probe.trigger("reading", {"celsius": "warm"}),
        lambda: router.request("probe", "convert", {"fahrenheit": 70}),
    ):
        try:
            call()
        except sig.SigError as error:
            print(f"{type(error).__name__}: {error}")
    print(router.senders()[0].schema["requests"]["convert"]["result"])
