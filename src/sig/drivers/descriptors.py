"""How many descriptors this process may have, and how near to that it is."""

from __future__ import annotations

import sys

if sys.platform == "win32":

    def is_spare(descriptor: int, reserve: int) -> bool:
        """The system bounds sockets by nothing but memory."""
        return True

    def raise_limit() -> None:
        """There is none."""

else:
    import resource

    def is_spare(descriptor: int, reserve: int) -> bool:
        """Whether so many more can be had beside this one, which has just been opened.

        The system gives out the lowest free number, so that the number of the newest tells how many there are.
        """
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return most == resource.RLIM_INFINITY or descriptor < most - reserve

    def raise_limit() -> None:
        """Allow this process as many as the system lets it: the usual first limit is for programs that use `select`."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            except (OSError, ValueError):
                pass  # where "no limit" is not one that can be asked for, it stays as it is
