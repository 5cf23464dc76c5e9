import sys

import sig

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:3000"

with sig.connect(url) as client:
    freezer = client.sender("freezer")
    freezer.wait(10)  # until somebody of that name is there

    print(freezer.request("read"))
    freezer.request("set_target", -25.0, timeout=5)
    print(freezer.request("read"))

    try:
        freezer.request("set_target", 20.0)
    except sig.RequestFailed as error:
        print(f"refused ({error.code}): {error}")
    try:
        freezer.request("dance")
    except sig.MethodNotFound as error:
        print(error)
    try:
        client.request("oven", "read")
    except sig.SenderNotConnected as error:
        print(error)
