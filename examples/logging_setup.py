"""Logging: the standard library's logger "sig", silent until the program says where its log goes."""

import logging
import sys

import sig

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")


def broken(info, data):
    raise ValueError("out of order")


with sig.Router() as router:
    router.listen(broken, "probe", "reading")
    router.listen(lambda info, data: print("the others still hear:", data), "probe", "reading")
    probe = router.add_sender("probe", events=["reading"])
    probe.trigger("reading", 1)

    # As in pysig 0.7: print, or give any object with such methods.
    sig.setup_logger(sig.SimpleLogger(tag="[plant]", level=sig.LOG_LEVELS.LEVEL_ERROR))
    probe.trigger("reading", 2)
