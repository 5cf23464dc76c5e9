"""Plugins: modules with marked functions and objects with marked methods, registered and taken out as a whole."""

import importlib
import pkgutil

import panels

import sig


class Counter:
    def __init__(self):
        self.seen = 0

    @sig.on("plant/**", "state")
    def count(self, info, data):
        self.seen += 1


with sig.Router() as router:
    plugins = {}
    for found in pkgutil.iter_modules(panels.__path__):
        module = importlib.import_module(f"panels.{found.name}")
        plugins[found.name] = router.listen_all(module)
    print("loaded:", *plugins)

    counter = Counter()
    router.listen_all(counter)

    pump = router.add_sender("plant/pump", events=["state", "#alarm"])
    pump.trigger("state", "running")
    pump.trigger("#alarm", "too hot")

    plugins["journal"].close()  # all that it had registered
    pump.trigger("state", "stopped")
    pump.trigger("#alarm", "still too hot")
    print("states:", counter.seen)
