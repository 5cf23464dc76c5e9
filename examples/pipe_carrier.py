"""A carrier of one's own: over a multiprocessing.Pipe, to a child process."""

import multiprocessing

import sig
from sig.carriers import MediumClient, MediumServer


class PipeMedium:  # what carries the bytes: three methods, which may block
    def __init__(self, end):
        self.end = end

    def read(self, timeout):
        try:
            return self.end.recv_bytes() if self.end.poll(timeout) else None
        except EOFError:
            return b""  # the other end has closed

    def write(self, data):
        self.end.send_bytes(data)

    def close(self):
        self.end.close()


class PipeServer(MediumServer):  # lets clients in: calls `attach` for each
    def __init__(self, *ends):
        super().__init__("pipe:")
        self.ends = ends

    def begin(self, attach):
        for number, end in enumerate(self.ends):
            attach(PipeMedium(end), f"pipe {number}")


class PipeClient(MediumClient):
    def __init__(self, end):
        super().__init__("pipe:")
        self.end = end

    def open(self, timeout):
        return PipeMedium(self.end)


def child(end):
    with sig.connect(PipeClient(end)) as client:
        print("6 * 7 =", client.request("parent", "multiply", [6, 7]))


if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with sig.serve(PipeServer(ours)) as server:
        server.add_sender("parent", requests={"multiply": lambda numbers: numbers[0] * numbers[1]})
        process = spawn.Process(target=child, args=[theirs])
        process.start()
        process.join()
