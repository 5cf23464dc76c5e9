"""A server process for one client: reads as fast as it can, routes to a listener, and discards what that would get.

Says on standard output where it is, and ends with its standard input.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

from benchmarks.costs.world import CHUNK, End, World

READ = 64 * 1024


def main() -> None:
    world = World()
    End(world).listen()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"tcp://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        threading.Thread(target=end_with_input, daemon=True).start()
        link, _ = listening.accept()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = world.accept()
    buffer = memoryview(bytearray(READ))
    with link:
        while size := link.recv_into(buffer):
            world.receive(connection, buffer[:size])
            link.sendall(connection.data_to_send(CHUNK))
            world.drain()


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
