"""Numbers of the rivals in words."""

import math
from collections.abc import Sequence

from prdp.analysis.rivals import Comparison, Rival
from prdp.analysis.statistics import Statistic
from prdp.analysis.tables.cells import change

UNITS = {"matvecs": "products", "seconds": "seconds"}


def spent(rival: Rival, other: Rival, problem: Comparison) -> str:
    """Return products, seconds and error as shares of another's, in words."""
    shares = [
        f"{percent(rival.share(other, cost))} of the {unit}"
        for cost, unit in UNITS.items()
        if not math.isnan(rival.share(other, cost))
    ]
    if not problem.to_common_error:
        return f"{listed(shares)}, error {excess_of(rival.excess(other))}"
    return listed(shares) if rival.attained is not None else "more than its run, never getting there"


def excess_of(excess: Statistic) -> str:
    """Return a relative difference with its unit and its 95 % interval."""
    found = change(excess)
    mean, _, rest = found.partition(" ")
    return f"{mean} %" + (f" {rest}" if rest else "")


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.3g} %"


def times(ratio: Statistic) -> str:
    """Return a ratio, with its spread if there is one."""
    return f"{ratio.mean:.2f}" + (f" ± {ratio.std:.2f}" if ratio.std is not None else "") + " times"


def runs(problem: Comparison) -> str:
    """Return how many seeds a problem has, with the range where its rivals differ."""
    if problem.to_common_error:
        return "one run each, no seeds"
    counts = sorted({r.runs for r in problem.rivals})
    if counts[-1] == 1:
        return "1 seed"
    return f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seeds"


def listed(parts: Sequence[str]) -> str:
    """Return parts as `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
