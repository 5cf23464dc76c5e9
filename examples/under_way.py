"""Several requests under way, kept by one thread, which gives one of them up."""

from threading import Event

import sig

begun, ended = Event(), Event()


def double(params):
    return 2 * params


def survey(params):
    """A long one, which looks now and then whether anybody waits for it."""
    begun.set()
    try:
        while not ended.wait(0.01):
            sig.current_request().check()
    finally:
        ended.set()


with sig.serve("tcp://127.0.0.1:0") as server:
    server.add_sender("drone", requests=[double, survey])
    with sig.connect(server.urls[0]) as client:
        calls = [client.start_request("drone", "double", number) for number in range(5)]
        long = client.start_request("drone", "survey", timeout=600)
        print([call.result(timeout=10) for call in calls])

        begun.wait()
        print("given up:", long.cancel())
        ended.wait()
        print("and so it has ended")
