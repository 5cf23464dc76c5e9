"""`sig` against others who move events between processes, end to end: `python -m benchmarks.peers`.

Publisher process -> server process -> subscriber process, over loopback; the same payload and the same codec for
all; nothing may be lost. A contestant is one file in `contestants`, a case one file in `cases`.
"""
