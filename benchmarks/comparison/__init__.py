"""What other libraries do where requests, presence and groups meet trouble: asked by running them.

    python -m benchmarks.comparison [PEER ...]

Each peer is a module here with `async def probe(found)`; what cannot be imported or started is told and left out. Peers
are installed beside the project, not with it: `pip install -r benchmarks/comparison/requirements.txt`, and dbus-daemon
from the system.
"""
