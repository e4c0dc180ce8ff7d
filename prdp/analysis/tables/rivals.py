"""The rivals of each problem: their costs and errors, the cheapest of each kind, and the regret of schedules."""

import math
from collections.abc import Callable, Iterable

import pandas as pd

from prdp.analysis.quantities import COMMON_ERROR, MARGIN
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.regret import Regret, of_searched
from prdp.analysis.rival_names import KINDS
from prdp.analysis.rivals import EXPERIMENT, Comparison, Rival, cheapest, compare, pareto_front, within_margin
from prdp.analysis.statistics import Statistic
from prdp.analysis.tables.cells import EMPTY, change, interval, median, spread
from prdp.analysis.tables.table import NothingToShow, Table

_FRONT = {"matvecs": "products", "seconds": "seconds"}
_PRODUCTS = (
    "Products are matrix-vector products, forward and adjoint. The fast transform of the direct solver counts as "
    "one, the application of a splitting matrix (JFB) as none. A warm start costs one more per solve. Seconds are "
    "those of training and validation."
)
_NOTES = [
    "The name of a rival says how it differs from converged training with the problem's reference solver (Jacobi; "
    "GMRES for Burgers and Navier-Stokes) and mode (implicit; where no run is implicit, unrolled).",
    _PRODUCTS,
    "Pareto front: no other rival of the problem is at least as cheap and as accurate (by medians). A rival with a "
    "diverged run is not on it. In seconds a rival is on it unless the 95 % interval of another's seconds lies below "
    "its own; while a rival of the problem has no such interval, nobody is.",
    "Seconds of runs that were not timed alone, on one device and of one commit, are withdrawn. So are products of "
    "rivals with a run from before 26 November 2026, when a cycle of GMRES counted without its residual.",
]
_SPENT = {"products": "matvecs", "iterations": "iterations_total", "executed": "iterations_executed_total"}


def rivals(records: Records, reference: Reference) -> Table:
    """Return the rivals of the problems with a network."""
    found = [c for c in compare(records) if not c.to_common_error]
    notes = [
        *_NOTES,
        "Only seeds count that every rival of the problem has. Iterations: K summed over the training (for a "
        "schedule over tolerances, its cap). Executed: iterations that the solves made. Errors are multiplied by "
        "100: mean ± one standard deviation over seeds; median with its 95 % interval (six seeds at least).",
        "Against converged: mean difference by seed, relative to the converged error (95 % interval).",
    ]
    return _table("Rivals: modes, schedules, solvers and warm starts", _rows(found, _network_cells), notes)


def rivals_poisson(records: Records, reference: Reference) -> Table:
    """Return the rivals of the Poisson inverse problem."""
    found = [c for c in compare(records) if c.to_common_error]
    notes = [
        *_NOTES,
        f"Costs are those until the parameter error is at most {COMMON_ERROR:.0e} for the first time. There are no "
        "seeds.",
    ]
    return _table("Rivals on the Poisson inverse problem (1 parameter)", _rows(found, _poisson_cells), notes)


def choice(records: Records, reference: Reference) -> Table:
    """Return, for each problem, the cheapest rival of each kind whose error is no worse than PRDP's."""
    rows = [row for problem in compare(records) for row in _choice(problem)]
    notes = [
        "Of each kind: the rival with the fewest products among those whose error exceeds that of PRDP by at most "
        f"{100 * MARGIN:.0f} % (mean over seeds) or, on Poisson, that reach a parameter error of {COMMON_ERROR:.0e}. "
        "Able: how many of the rivals of this kind do.",
        "Products and seconds: median, relative to that of PRDP. Error: mean difference by seed, relative to the "
        f"error of PRDP (95 % interval); undecided: the interval does not exclude more than {100 * MARGIN:.0f} %.",
        _PRODUCTS,
        "Some rivals have requirements that PRDP does not have: two stages and linear need the number of epochs "
        "beforehand, the direct solver constant coefficients, CG a symmetric matrix, warm starts the last solution "
        "of each sample.",
    ]
    return _table("The cheapest rivals that are no worse than PRDP", rows, notes)


def regret(records: Records, reference: Reference) -> Table:
    """Return the regret of the schedules on the problems whose best schedules were searched."""
    rows = [
        {
            "problem": problem.title,
            "schedule": found.rival.name,
            "iterations": spread(found.iterations, 1, 2) + interval(found.iterations, 1, 2),
            "error": spread(found.error, 1, 2) + interval(found.error, 1, 2),
            "seeds": str(found.iterations.runs),
            "unbeaten": str(found.unbeaten),
            "measured on": _measure(problem, found),
        }
        for problem, found in of_searched(compare(records), reference.oracles)
    ]
    notes = [
        "Iterations: those of the schedule, divided by those of the cheapest known schedule that is at least as "
        "accurate. Known are those found by search and the schedule itself, so that 1 means that nothing better was "
        "found. Unbeaten: seeds on which nothing found is as accurate with fewer iterations.",
        "Error: that of the schedule, divided by that of the best known schedule that takes at most as many "
        "iterations.",
        "Mean ± one standard deviation over seeds, with the 95 % interval of the mean.",
        "The search chooses on the validation samples. Both regrets are measured on a held-out test set if all seeds "
        "have test errors, where that of the error may be below 1.",
        "The search is over schedules whose K only rises, pruned, and changes K only every few epochs: a finer one may "
        "find larger regrets.",
    ]
    return _table("Regret against the best schedules in hindsight", rows, notes)


def _measure(problem: Comparison, found: Regret) -> str:
    if problem.to_common_error:
        return "the parameters"
    return "test set" if found.held_out else "validation samples"


def _rows(
    found: Iterable[Comparison], cells: Callable[[Rival, Rival | None], dict[str, str]]
) -> list[dict[str, str]]:
    rows = []
    for problem in found:
        fronts = {name: pareto_front(problem.rivals, cost) for cost, name in _FRONT.items()}
        for rival in problem.rivals:
            on = [name for name, best in fronts.items() if rival in best]
            rows.append(
                {
                    "problem": problem.title,
                    "rival": rival.name,
                    "kind": rival.kind,
                    **cells(rival, problem.converged),
                    "Pareto front": ", ".join(on) or EMPTY,
                }
            )
    return rows


def _choice(problem: Comparison) -> list[dict[str, str]]:
    prdp = problem.prdp
    if prdp is None:
        return []
    rows = []
    for kind in KINDS:
        rivals = [r for r in problem.rivals if r.kind == kind]
        able = [r for r in rivals if problem.no_worse(r, prdp)]
        best = prdp if rivals == [prdp] else cheapest(able, "matvecs")
        if not rivals:
            continue
        row = {"problem": problem.title, "kind": kind, "able": f"{len(able)} of {len(rivals)}"}
        if best is None:
            rows.append(
                {**row, "cheapest": EMPTY, "products %": EMPTY, "seconds %": EMPTY, "error, %": EMPTY}
            )
            continue
        shares = [EMPTY if math.isnan(x := best.share(prdp, c)) else f"{100 * x:.0f}" for c in _FRONT]
        against = EMPTY if best is prdp or problem.to_common_error else _excess(best.excess(prdp))
        rows.append(
            {
                **row,
                "cheapest": best.name,
                "products %": shares[0],
                "seconds %": shares[1],
                "error, %": against,
            }
        )
    return rows


def _excess(statistic: Statistic) -> str:
    return change(statistic) + ("" if within_margin(statistic) else ", undecided")


def _network_cells(rival: Rival, converged: Rival | None) -> dict[str, str]:
    compared = converged is not None and converged is not rival
    return {
        "seeds": f"{rival.runs}" if not rival.diverged else f"{rival.runs}, {rival.diverged} diverged",
        **{header: _count(rival.costs[cost]) for header, cost in _SPENT.items()},
        "seconds": spread(rival.costs["seconds"], 1, 2),
        "error x1e-2": spread(rival.error, 100, 2),
        "median": median(rival.error),
        "against converged, %": change(rival.excess(converged)) if compared and converged else EMPTY,
    }


def _poisson_cells(rival: Rival, converged: Rival | None) -> dict[str, str]:
    spent = {header: _count(rival.costs[cost]) for header, cost in (*_SPENT.items(), ("updates", "updates"))}
    spent["seconds"] = spread(rival.costs["seconds"], 1, 3)
    share = math.nan if converged is None else rival.share(converged, "matvecs")
    return {
        **(spent if rival.attained is not None else dict.fromkeys(spent, "not reached")),
        "products of converged, %": EMPTY if math.isnan(share) else f"{100 * share:.1f}",
        "final error": f"{rival.error.mean:.1e}" if rival.error.runs else "diverged",
    }


def _count(statistic: Statistic) -> str:
    if not statistic.runs:
        return spread(statistic, 1, 0)
    mean = f"{statistic.mean:,.0f}"
    return mean if statistic.std is None else f"{mean} ± {statistic.std:,.0f}"


def _table(title: str, rows: list[dict[str, str]], notes: list[str]) -> Table:
    frame = pd.DataFrame(rows)
    if frame.empty:
        raise NothingToShow(f"no run of {EXPERIMENT}")
    if "seeds" in frame and (frame["seeds"] == "1").any():
        notes = [*notes, "A number without ± comes from one seed."]
    if frame["problem"].str.contains("(reduced)", regex=False).any():
        notes = [*notes, "Reduced problems (scale=small) are not the paper's."]
    return Table(title, frame, notes)
