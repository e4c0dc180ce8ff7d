"""How busy other processes kept the CPU: seconds only mean something of a run that had it to itself."""

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
# The columns of a processor's line that are not work: idle, iowait; guest and guest_nice are in user and nice already.
_IDLE = (3, 4)
_COUNTED = 8


class CPUContention:
    """Measures from its creation on.

    Linux counts for each processor how long it worked, for whom it does not say: what this process did not do, others
    did. Time that a hypervisor took counts as theirs. Only the processors that this process may use are looked at.
    """

    def __init__(self) -> None:
        self._began = self._read()

    def share(self) -> float | None:
        """Return the share of the processors' time that others took, 0 to 1; `None` where the system does not say.

        Of less than a second it says nothing: the system counts in hundredths.
        """
        now = self._read()
        if now is None or self._began is None:
            return None
        busy, own, wall = (after - before for after, before in zip(now, self._began, strict=True))
        processors = len(os.sched_getaffinity(0))
        return min(1.0, max(0.0, busy - own) / (wall * processors))

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Return the seconds that these processors have worked, those of this process, and the clock's."""
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
