"""Programs of three codecs on one server: each hears and asks the others in its own."""

from queue import Queue

import sig


class Lines:
    """A device that speaks lines of text, `name=value`, and nothing else."""

    name = "lines"

    def encode(self, obj):
        return "\n".join(f"{name}={value}" for name, value in obj.items()).encode()

    def decode(self, data):
        return dict(line.split("=", 1) for line in data.decode().splitlines())


with (
    sig.serve("tcp://127.0.0.1:0", codec=["json", Lines()]) as server,
    sig.connect(server.urls[0]) as desk,
    sig.connect(server.urls[0], codec="msgpack") as camera,
    sig.connect(server.urls[0], codec=Lines()) as device,
):
    at_desk, at_device = Queue(), Queue()
    desk.listen(lambda info, data: at_desk.put(data), event="measured")
    desk.listen(lambda info, data: at_desk.put(data), event="shot")
    device.listen(
        lambda info, data: at_device.put(data),
        event="shot",
        on_gap=lambda info, gap: at_device.put(f"{gap.missed} missing: {gap.reason}"),
    )

    probe = device.add_sender("probe", events=["measured"])
    probe.trigger("measured", {"celsius": 21.5})
    print("desk:", at_desk.get(timeout=10))

    shots = camera.add_sender("camera", events=["shot"], requests={"zoom": lambda params: params})
    for shot in ({"lens": 2, "pixels": b"\x00\xff"}, b"\x00\xff"):
        shots.trigger("shot", shot)
        print("desk:", at_desk.get(timeout=10))
        print("device:", at_device.get(timeout=10))

    print("answer:", device.request("camera", "zoom", {"factor": 2}))
