"""Both faces, in processes that say what they have used."""

from __future__ import annotations

import resource


class Used:
    """What a child answers when it is asked what it has cost."""

    def used_s(self) -> float:
        """Processor time of this process so far, its own and the system's for it."""
        spent = resource.getrusage(resource.RUSAGE_SELF)
        return spent.ru_utime + spent.ru_stime
