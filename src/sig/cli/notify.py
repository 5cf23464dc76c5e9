"""What systemd is told of a service: that it serves, reloads, ends, and that its loop still turns.

A datagram for each, to the socket that `NOTIFY_SOCKET` names; without one nobody is told, and nothing happens.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping

from sig.log import logger


class Notifier:
    """Tells whoever has started this process.

    Args:
        environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of it count.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        if self._path.startswith("@"):
            self._path = "\0" + self._path[1:]
        ours = environment.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s: float | None = int(usec) / 1e6 if ours and usec.isdecimal() and int(usec) else None
        """How long the service may be silent; `None`: for ever."""

    def ready(self, status: str) -> None:
        """It serves, or serves again."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=finishing what is under way")

    async def watch(self) -> None:
        """Tell from now on that the loop that runs here turns; as long as it does. Returns at once."""
        if self._path and self.watchdog_s is not None:
            self._beat(asyncio.get_running_loop(), self.watchdog_s / 2)

    def _beat(self, loop: asyncio.AbstractEventLoop, pause: float) -> None:
        self._tell("WATCHDOG=1")
        loop.call_later(pause, self._beat, loop, pause)

    def _tell(self, *lines: str) -> None:
        if not self._path:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)  # who does not listen must not hold up the loop
                sock.sendto("\n".join(lines).encode(), self._path)
        except OSError as error:
            logger.warning(f"NOTIFY_SOCKET cannot be told {lines[0]}: {error.strerror or error}")
