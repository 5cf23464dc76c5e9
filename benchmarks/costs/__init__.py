"""What `sig` adds to the codec: in a client, in the server, in a large world, and next to those who do not read.

    python -m benchmarks.costs [events | requests | scale | slow]

`world` has a server and its clients without I/O; `trigger`, `dispatch` and `forward` measure one step each, per event;
`volley` a request in all its steps, `requests` also between processes, `faces` being those;
`scale` the same server with many of everything; `slow` real processes, some of which do not read.
"""
