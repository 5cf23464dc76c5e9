"""A program written for pysig 0.7, with its names and import paths."""

from queue import Queue

import sig
from sig.carrier.tcpclient import *  # noqa: F403  as the documentation of 0.7 did
from sig.carrier.tcpserver import *  # noqa: F403

received = Queue()


def on_reading(info, data):
    received.put((info["sender"], info.get("event"), data))


server_carrier = CarrierTCPServer()  # noqa: F405
server = sig.ServerRouter(server_carrier)
probe = server.addSender("probe", ["reading"], {"read": lambda params: 21.5})
print(server_carrier.start("127.0.0.1", 0))

client_carrier = CarrierTCPClient()  # noqa: F405
client = sig.ClientRouter(client_carrier)
client_carrier.on_connected = lambda: print("connected")
print(client_carrier.connect("127.0.0.1", server_carrier.address.port), client_carrier.isConnected())

client.addRemoteListener(on_reading, "probe", "reading")
probe.getSignal("reading").trigger({"celsius": 21.5})
print(received.get(timeout=10))
print(client.remoteRequest("probe", "read"))
print(client.remoteRequest("nobody", "read"))

client_carrier.disconnect()
server_carrier.stop()
