"""A board at the other end of a serial line that flips bits. Here the line is made of two pseudo terminals."""

import os
import random
import threading
import tty

import sig


def noisy_line():
    """The names of two devices that are connected."""
    (a, here), (b, there) = os.openpty(), os.openpty()
    for end in (here, there):
        tty.setraw(end)

    def carry(source, target, seed):
        chance = random.Random(seed)
        while True:
            data = bytearray(os.read(source, 4096))
            for place in range(len(data)):
                if chance.random() < 0.0005:
                    data[place] ^= 1 << chance.randrange(8)
            os.write(target, data)

    threading.Thread(target=carry, args=(a, b, 1), daemon=True).start()
    threading.Thread(target=carry, args=(b, a, 2), daemon=True).start()
    return os.ttyname(here), os.ttyname(there)


ours, theirs = noisy_line()  # a cable has names as /dev/ttyUSB0 at each end

with sig.serve(f"serial://{ours}?baudrate=115200") as server:
    heard, all_heard = [], threading.Event()

    @server.on("board", "temperature")
    def on_temperature(info, data):
        heard.append(data)
        if data == 199:
            all_heard.set()

    # What follows would be the program on the board.
    with sig.connect(f"serial://{theirs}?baudrate=115200") as client:
        blink = {"blink": lambda times: " ".join(["blink"] * times)}
        board = client.add_sender("board", events=["temperature"], requests=blink)
        print(server.request("board", "blink", 2))
        for number in range(200):
            board.trigger("temperature", number)
        all_heard.wait(30)

    print(len(heard), "of 200, in order:", heard == list(range(200)))
