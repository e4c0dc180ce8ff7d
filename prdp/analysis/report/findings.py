"""What the records of the rivals say of each problem, in fixed sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from prdp.analysis.poisson import COMMON_ERROR
from prdp.analysis.regret import Regret, best_in_hindsight, regrets
from prdp.analysis.report.wording import UNITS, listed, percent, runs, spent, times
from prdp.analysis.rivals import MARGIN, PRDP, Comparison, Rival, cheapest, front
from prdp.analysis.tables.rivals import problem_name

_WITHIN = f"{100 * MARGIN:.0f} %"


@dataclass(frozen=True)
class Finding:
    """What the records say of one problem.

    Attributes:
        problem: its name.
        runs: how many seeds there are, in words.
        sentences: what was found.
    """

    problem: str
    runs: str
    sentences: tuple[str, ...]


def findings(problems: Sequence[Comparison], oracles: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return what is known of each problem."""
    return [
        Finding(
            problem_name(problem),
            runs(problem),
            (
                *([] if problem.to_common_error else _fronts(problem)),
                *_of_prdp(problem),
                *_pick(problem),
                *(_hindsight(problem, oracles[problem.physics]) if problem.physics in oracles else ()),
            ),
        )
        for problem in problems
    ]


def _fronts(problem: Comparison) -> list[str]:
    sentences = []
    for cost, unit in UNITS.items():
        best = front(problem.rivals, cost)
        if best:
            names = listed([r.name for r in best])
            sentences.append(f"On the front in {unit}, cheapest first: {names}.")
    return sentences


def _of_prdp(problem: Comparison) -> list[str]:
    prdp, converged = problem.prdp, problem.converged
    if prdp is None:
        return []
    sentences = []
    if prdp.diverged:
        sentences.append(f"PRDP diverged in {prdp.diverged} of {prdp.runs} runs.")
    elif prdp.attained is None:
        sentences.append(f"PRDP does not reach a parameter error of {COMMON_ERROR:.0e}.")
    elif converged is not None and converged is not prdp:
        sentences.append(f"Against converged training, PRDP takes {spent(prdp, converged, problem)}.")
    if not problem.to_common_error:
        sentences += [
            _place(prdp, front(problem.rivals, cost), cost) for cost in UNITS if prdp.costs[cost].runs
        ]
    return sentences


def _place(prdp: Rival, best: list[Rival], cost: str) -> str:
    if prdp in best:
        return f"PRDP is on the front in {UNITS[cost]}."
    above = [
        r
        for r in best
        if prdp.attained is not None and r.attained is not None and r.attained <= prdp.attained
    ]
    if not above:
        return f"PRDP is not on the front in {UNITS[cost]}."
    return (
        f"PRDP is not on the front in {UNITS[cost]}: by medians, {above[0].name} is at least as accurate with "
        f"{percent(above[0].share(prdp, cost))} of PRDP's {UNITS[cost]}."
    )


def _pick(problem: Comparison) -> list[str]:
    base = problem.converged
    if base is None:
        return ["Without converged runs nothing can be said of what convergence is worth."]
    able = [r for r in problem.rivals if problem.no_worse(r, base)]
    found = {
        unit: cheapest(able, cost)
        for cost, unit in UNITS.items()
        if cost == "matvecs" or not problem.to_common_error
    }
    goal = (
        f"to a parameter error of {COMMON_ERROR:.0e}"
        if problem.to_common_error
        else f"with a mean error at most {_WITHIN} above the converged"
    )
    return [
        f"Cheapest in {unit} {goal}: {r.name}" + ("." if r is base else f" ({spent(r, base, problem)}).")
        for unit, r in found.items()
        if r is not None
    ]


def _hindsight(problem: Comparison, oracle: pd.DataFrame) -> list[str]:
    found = regrets(problem, oracle)
    ours = [r for r in found if r.rival.kind == PRDP]
    sentences = [f"Against the best schedules found in hindsight, {_regret(r, problem)}." for r in ours]
    comparable = [r for r in found if r.iterations.runs and not r.unmatched]
    least = min(comparable, key=lambda r: r.iterations.mean, default=None)
    if least is not None and least.rival.kind != PRDP:
        sentences.append(f"Least regret in iterations: {_regret(least, problem)}.")
    best = best_in_hindsight(problem, oracle, MARGIN)
    if best:
        sentences.append(f"The cheapest schedule found within {_WITHIN} of the converged error is {best}.")
    return sentences


def _regret(regret: Regret, problem: Comparison) -> str:
    n = regret.error.runs
    runs = "one run" if problem.to_common_error else f"{n} seed" + "s" * (n > 1)
    parts = []
    if regret.iterations.runs:
        parts.append(f"takes {times(regret.iterations)} the iterations of the cheapest as accurate")
    if regret.unmatched:
        parts.append(f"is more accurate than all of them on {regret.unmatched} of {n}")
    parts.append(f"ends at {times(regret.error)} the error of the best as cheap")
    return f"{regret.rival.name} ({runs}) {listed(parts)}"
