"""Two senders share a name: whoever asks does not care which of them answers, nor whether one of them goes."""

import sig

presence = []

with sig.serve("tcp://127.0.0.1:0") as server:
    url = server.urls[0]
    server.listen(lambda info, data: presence.append(info.event), "resizer")

    with sig.connect(url) as user:
        with sig.connect(url) as first, sig.connect(url) as second:
            for client in (first, second):
                client.add_sender("resizer", requests={"half": lambda size: size // 2}, shared=True)

            print("one answers:", user.request("resizer", "half", 640))
            print("both are asked:", [reply.value for reply in user.request_all("resizer", "half", 480)])
            first.remove_sender("resizer")
            print("the other is there:", user.request("resizer", "half", 320))
        server.flush()

print("told of the first and the last:", presence)
