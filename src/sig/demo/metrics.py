"""A sender of this machine's metrics: `python -m sig.demo.metrics URL`. Ends when its server does."""

from __future__ import annotations

import itertools
import sys
import threading
import time

import psutil

import sig
from sig.demo.sender import send

NAME = "machine/metrics"
PERIOD_S = 1.0
_ORDERS = ("memory", "cpu")


def sample() -> dict[str, object]:
    """CPU per core, memory, disks and network, as psutil sees them now."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_io_counters()
    network = psutil.net_io_counters()
    return {
        "cpu_percent": psutil.cpu_percent(percpu=True),
        "memory_percent": memory.percent,
        "memory_used_bytes": memory.used,
        "disk_read_bytes": disk.read_bytes if disk else 0,
        "disk_written_bytes": disk.write_bytes if disk else 0,
        "network_sent_bytes": network.bytes_sent if network else 0,
        "network_received_bytes": network.bytes_recv if network else 0,
    }


def processes(params: object) -> list[dict[str, object]]:
    """The processes that use most: `{"count": 5, "by": "memory"}` or `"cpu"`, counted since the last request."""
    wanted = params if isinstance(params, dict) else {}
    count, by = wanted.get("count", 5), wanted.get("by", "memory")
    if not isinstance(count, int) or not 1 <= count <= 1000:
        raise sig.RequestFailed(f"count={count!r} is not a number from 1 to 1000", code="invalid_params")
    if by not in _ORDERS:
        raise sig.RequestFailed(f"by={by!r} is none of {', '.join(_ORDERS)}", code="invalid_params")
    found = [
        {
            "pid": process.pid,
            "name": process.info["name"],
            # `None` where the process may not be looked at, or has just ended.
            "memory_percent": round(process.info["memory_percent"] or 0, 2),
            "cpu_percent": round(process.info["cpu_percent"] or 0, 2),
        }
        for process in psutil.process_iter(["name", "memory_percent", "cpu_percent"])
    ]
    return sorted(found, key=lambda process: process[f"{by}_percent"], reverse=True)[:count]


def disk_usage(params: object) -> dict[str, object]:
    """How full the disk is at `{"path": "/"}`."""
    path = params.get("path", "/") if isinstance(params, dict) else "/"
    try:
        usage = psutil.disk_usage(str(path))
    except OSError as error:
        raise sig.RequestFailed(f"no disk at {path!r}: {error.strerror}", code="invalid_params") from None
    return {"path": path, "total_bytes": usage.total, "free_bytes": usage.free, "percent": usage.percent}


def work(router: sig.ClientRouter, ended: threading.Event) -> None:
    """Trigger a sample every second."""
    sender = router.add_sender(NAME, "sample", [processes, disk_usage])
    for number in itertools.count(1):
        sender.trigger("sample", {"at": time.time(), "number": number, **sample()})
        if ended.wait(PERIOD_S):
            return


def main(url: str) -> int:
    # The first answers of psutil count from here, and else would mean nothing.
    psutil.cpu_percent(percpu=True)
    processes(None)
    return send(url, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
