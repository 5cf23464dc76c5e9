"""Queues: what a slow listener does not keep up with is lost by a rule, counted, and told."""

from threading import Event

import sig

begun, go_on = Event(), Event()

with sig.Router() as router:

    def show(info, data):
        begun.set()
        go_on.wait(10)  # a slow display
        print("shown:", data)

    def gap(info, gap):
        print(f"missed {gap.missed} events ({gap.reason})")

    display = router.listen(show, "camera", "frame", queue=3, when_full="drop_oldest", on_gap=gap)
    camera = router.add_sender("camera", events=["frame"])
    camera.trigger("frame", 0)
    begun.wait(10)
    for number in range(1, 11):
        camera.trigger("frame", number)  # never waits for the display
    print("triggered all, waiting:", display.pending, "missed:", display.missed)
    go_on.set()
