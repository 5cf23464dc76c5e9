"""The protocol without input and output: bytes come in, frames and decisions come out, time is handed in.

Nothing in here knows a socket, a thread, a loop or a clock. `frames` is the bytes on the wire; the other
modules are what the two ends of a link do with them.
"""
