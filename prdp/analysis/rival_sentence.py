"""PRDP's place among its rivals and beside the best schedules in hindsight, each in one sentence."""

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from prdp.analysis.regret import Regret, of_searched
from prdp.analysis.rival_names import MODE, SCHEDULE, WARM
from prdp.analysis.rivals import Comparison, Rival, cheapest, within_margin
from prdp.analysis.tables.cells import change, interval
from prdp.analysis.verdicts import in_seeds

# Those that keep PRDP's solver: of another one, a product does something else.
_KINDS = (MODE, SCHEDULE, WARM)
# Problems with fewer rivals have not been compared with all kinds.
_FEWEST_RIVALS = 4


def sentence(problems: Iterable[Comparison]) -> str:
    """Return, for each problem with rivals, the cheapest one that is shown to be no worse than PRDP; empty without any.

    No worse: the 95 % interval of its error lies less than 10 % above PRDP's, or it reaches the common error.
    """
    compared = [(problem, problem.prdp) for problem in problems if len(problem.rivals) >= _FEWEST_RIVALS]
    parts, none = [], []
    for problem, prdp in compared:
        if prdp is None:
            continue
        best = cheapest(
            [r for r in problem.rivals if r.kind in _KINDS and _no_worse(problem, r, prdp)], "matvecs"
        )
        share = math.nan if best is None else best.share(prdp, "matvecs")
        if best is None or not share < 1:
            none.append(problem.title)
            continue
        error = "" if problem.to_common_error else f", error {change(best.excess(prdp))} %"
        parts.append(f"on {problem.title} {best.name} ({100 * share:.0f} %{error})")
    if none:
        parts.append(f"on {', '.join(none)} none is shown to be")
    said = "**Rivals** with PRDP's solver and fewer matrix-vector products (share), at most 10 % above its error: "
    return f"{said}{'; '.join(parts)}." if parts else ""


def _no_worse(problem: Comparison, rival: Rival, prdp: Rival) -> bool:
    if rival.attained is None:
        return False
    return problem.to_common_error or within_margin(rival.excess(prdp))


def hindsight(problems: Iterable[Comparison], oracles: Mapping[str, pd.DataFrame]) -> str:
    """Return PRDP's regret in iterations on each problem that was searched; empty without any."""
    found = [(p, regret) for p, regret in of_searched(problems, oracles) if regret.rival is p.prdp]
    parts = [f"{in_words(problem, regret)} on {problem.title}" for problem, regret in found]
    said = "**Hindsight**: PRDP's iterations over the fewest known that reach its error: "
    return f"{said}{', '.join(parts)}." if parts else ""


def in_words(problem: Comparison, regret: Regret) -> str:
    """Return a regret in iterations with its interval and its number of seeds."""
    times = regret.iterations
    seeds = "" if problem.to_common_error else in_seeds(times.runs)
    # Without a spread, as where nothing better is known on any seed, an interval says nothing more.
    spread = interval(times, 1, 1).strip(" ()") if times.std else ""
    details = "; ".join(filter(None, (spread, seeds)))
    return f"{times.mean:.1f}" + (f" ({details})" if details else "")
