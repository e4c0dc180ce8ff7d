"""The CPU load of other processes: wall times are only meaningful for a run that had the CPU to itself."""

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
# The idle columns of a processor's line: idle and iowait. Only the first eight columns are counted, since guest and
# guest_nice are already part of user and nice.
_IDLE = (3, 4)
_COUNTED = 8


def usable_processors() -> int:
    """Return how many processors this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CPUContention:
    """Measures the CPU load of other processes from its creation on.

    Linux counts how long each processor was busy, but not for which process. Busy time that this process did not use
    is therefore attributed to others, including time that a hypervisor took. Only the processors that this process may
    use are considered.
    """

    def __init__(self) -> None:
        self._began = self._read()

    def share(self) -> float | None:
        """Return the fraction of processor time that others used, 0 to 1; `None` if the system does not report it.

        Below one second the result is not meaningful, because the system counts in hundredths of a second.
        """
        now = self._read()
        if now is None or self._began is None:
            return None
        busy, own, wall = (after - before for after, before in zip(now, self._began, strict=True))
        return min(1.0, max(0.0, busy - own) / (wall * usable_processors()))

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Return the busy time of these processors, the CPU time of this process, and the clock, in seconds."""
        try:
            lines = _STAT.read_text().splitlines()
        except OSError:
            return None
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = 0
        for line in lines:
            name, *fields = line.split()
            if name in mine:
                counts = [int(x) for x in fields[:_COUNTED]]
                ticks += sum(x for i, x in enumerate(counts) if i not in _IDLE)
        return ticks / os.sysconf("SC_CLK_TCK"), time.process_time(), time.monotonic()
