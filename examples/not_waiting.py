"""A panel is switched on before its server: it works at once, and is connected as soon as it can be."""

import logging
import queue

import sig

logging.getLogger("sig").setLevel(logging.ERROR)  # each attempt is a warning
shown = queue.Queue()
pressed = queue.Queue()

with sig.connect("local://hall", wait=False, reconnect_first_s=0.05) as panel:
    print("the panel is", panel.state)
    panel.listen(lambda info, data: shown.put(data), "thermostat", "changed")
    panel.add_sender("button", "pressed").trigger("pressed", "window")

    with sig.ServerRouter("local://hall") as server:
        server.listen(lambda info, data: pressed.put(data), "button", "pressed")
        thermostat = server.add_sender("thermostat", "changed")
        server.start()
        panel.wait_connected()
        print("the panel is", panel.state)
        print("pressed:", pressed.get())
        thermostat.trigger("changed", 20.5)
        print("the panel shows", shown.get())
        panel.close()
