"""An encoding of one's own: override `pack` and `unpack` of the carrier, alike on both ends."""

import json
import zlib
from queue import Queue

import sig
from sig.carriers import TCPClient, TCPServer


class Compressed:
    def pack(self, obj):
        return zlib.compress(json.dumps(obj).encode())

    def unpack(self, data):
        return json.loads(zlib.decompress(data))


class CompressedServer(Compressed, TCPServer):
    pass


class CompressedClient(Compressed, TCPClient):
    pass


carrier = CompressedServer("tcp://127.0.0.1:0")
with sig.serve(carrier) as server, sig.connect(CompressedClient(server.urls[0])) as client:
    received = Queue()
    client.listen(lambda info, data: received.put(data), "probe", "spectrum")
    probe = server.add_sender("probe", events=["spectrum"])
    probe.trigger("spectrum", [0] * 10_000)
    print(len(received.get(timeout=10)), "values")
