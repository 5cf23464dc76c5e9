"""A sender of this machine's metrics: `python -m sig.demo.metrics URL`. Ends when its server does."""

from __future__ import annotations

import signal
import sys
import time

import psutil

import sig

PERIOD_S = 1.0


def sample() -> dict[str, object]:
    """CPU per core, memory, disks and network, as psutil sees them now."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_io_counters()
    network = psutil.net_io_counters()
    return {
        "at": time.time(),
        "cpu_percent": psutil.cpu_percent(percpu=True),
        "memory_percent": memory.percent,
        "memory_used_bytes": memory.used,
        "disk_read_bytes": disk.read_bytes if disk else 0,
        "disk_written_bytes": disk.write_bytes if disk else 0,
        "network_sent_bytes": network.bytes_sent if network else 0,
        "network_received_bytes": network.bytes_recv if network else 0,
    }


def processes(params: object) -> list[dict[str, object]]:
    """The processes that use most memory: `{"count": 5}` of them."""
    count = params.get("count", 5) if isinstance(params, dict) else 5
    if not isinstance(count, int) or not 1 <= count <= 1000:
        raise sig.RequestFailed(f"count={count!r} is not a number from 1 to 1000", code="invalid_params")
    found = [p.info for p in psutil.process_iter(["pid", "name", "memory_percent"])]
    found.sort(key=lambda info: -(info["memory_percent"] or 0))
    return [
        {"pid": i["pid"], "name": i["name"], "memory_percent": round(i["memory_percent"] or 0, 2)}
        for i in found[:count]
    ]


def disk_usage(params: object) -> dict[str, object]:
    """How full the disk is at `{"path": "/"}`."""
    path = params.get("path", "/") if isinstance(params, dict) else "/"
    try:
        usage = psutil.disk_usage(str(path))
    except OSError as error:
        raise sig.RequestFailed(f"no disk at {path!r}: {error.strerror}", code="invalid_params") from None
    return {"path": path, "total_bytes": usage.total, "free_bytes": usage.free, "percent": usage.percent}


def main(url: str) -> None:
    """Trigger a sample every second until the server has gone."""
    psutil.cpu_percent(percpu=True)  # the first answer of psutil means nothing
    try:
        with sig.connect(url, name="demo metrics") as router:
            sender = router.add_sender("machine/metrics", "sample", [processes, disk_usage])
            sender.trigger("sample", sample())
            while not router.wait(PERIOD_S):
                sender.trigger("sample", sample())
    except sig.ConnectionLost:
        pass  # the server has gone, and nobody is left to tell


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    main(sys.argv[1])
