import sys

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"
target = -21.0


def read(params):
    return {"target": target}


def set_target(params):
    global target
    if params > -18:
        raise sig.RequestFailed(f"{params} is too warm for what is in here", code="too_warm")
    target = params
    freezer.trigger("target", target)


with sig.connect(url) as client:
    freezer = client.add_sender("freezer", events=["target"], requests=[read, set_target])
    print("at your service", flush=True)
    try:
        client.wait()
    except KeyboardInterrupt:
        print("bye")
