"""Every rival of a problem with what it spends and how accurate it ends."""

import math
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from prdp.analysis.poisson import COMMON_ERROR
from prdp.analysis.records import Records
from prdp.analysis.rivals import EXPERIMENT, Comparison, Rival, compare, front
from prdp.analysis.statistics import Statistic
from prdp.analysis.tables.cells import EMPTY, TITLES, Paper, change, interval, spread
from prdp.analysis.tables.table import NothingToShow, Table

_FRONT = {"matvecs": "products", "seconds": "seconds"}
_NOTES = [
    "A name says what differs from converged implicit training with the problem's own solver (Jacobi; GMRES for "
    "Burgers), and its schedule if that is not the converged K.",
    "Products are matrix-vector products, forward and adjoint. The fast transform of the direct solver counts as one, "
    "the application of a splitting matrix (JFB) as none; a warm start costs one more a solve. Seconds are those of "
    "training and validation.",
    "Front: no other rival of the problem is both as cheap and as accurate (by medians, one of both better); a rival "
    "of which a run diverged is not on it.",
]
_SPENT = {
    "products": "matvecs",
    "iterations": "iterations_total",
    "executed": "iterations_executed_total",
}


def rivals(records: Records, paper: Paper) -> Table:
    """Return the rivals of the problems with a network."""
    found = [c for c in compare(records) if not c.to_common_error]
    rows = [row for problem in found for row in _rows(problem, _network_cells)]
    notes = [
        *_NOTES,
        "Only seeds that every rival of the problem has count. "
        "Iterations: K in force (of a schedule over tolerances its cap); executed: those that the solves made. Mean ± "
        "one standard deviation over seeds; median with its 95 % bootstrap interval.",
        "Against converged: mean difference by seed, relative to the converged error (95 % bootstrap interval).",
    ]
    return _table("Rivals: modes, schedules, solvers and warm starts", rows, notes)


def rivals_poisson(records: Records, paper: Paper) -> Table:
    """Return the rivals of the Poisson inverse problem."""
    found = [c for c in compare(records) if c.to_common_error]
    rows = [row for problem in found for row in _rows(problem, _poisson_cells)]
    notes = [
        *_NOTES,
        f"Costs are those until the parameter error is at most {COMMON_ERROR:.0e} for the first time; there are no "
        "seeds, and seconds of so small a problem are mostly overhead.",
    ]
    return _table("Rivals on the Poisson inverse problem (1 parameter)", rows, notes)


def problem_name(problem: Comparison) -> str:
    """Return the name of a problem, and whether it is reduced."""
    name = TITLES.get(problem.physics, problem.physics)
    return f"{name} (reduced)" if problem.reduced else name


def _rows(
    problem: Comparison, cells: Callable[[Rival, Rival | None], dict[str, str]]
) -> Iterator[dict[str, str]]:
    fronts = {name: front(problem.rivals, cost) for cost, name in _FRONT.items()}
    for rival in problem.rivals:
        yield {
            "problem": problem_name(problem),
            "rival": rival.name,
            "kind": rival.kind,
            **cells(rival, problem.converged),
            "front": ", ".join(name for name, rivals in fronts.items() if rival in rivals) or EMPTY,
        }


def _network_cells(rival: Rival, converged: Rival | None) -> dict[str, str]:
    return {
        "seeds": f"{rival.runs}" if not rival.diverged else f"{rival.runs}, {rival.diverged} diverged",
        **{header: _count(rival.costs[cost]) for header, cost in _SPENT.items()},
        "seconds": spread(rival.costs["seconds"], 1, 2),
        "error x1e-2": spread(rival.error, 100, 2),
        "median": _median(rival.error),
        "against converged, %": EMPTY
        if converged is None or converged is rival
        else change(rival.excess(converged)),
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


def _median(error: Statistic) -> str:
    return f"{100 * error.median:.2f}{interval(error, 100, 2)}" if error.runs else EMPTY


def _table(title: str, rows: Iterable[dict[str, str]], notes: list[str]) -> Table:
    frame = pd.DataFrame(rows)
    if frame.empty:
        raise NothingToShow(f"no run of {EXPERIMENT}")
    if "seeds" in frame and (frame["seeds"] == "1").any():
        notes = [*notes, "A number without ± is of one seed."]
    if frame["problem"].str.endswith("(reduced)").any():
        notes = [*notes, "Reduced problems (scale=small) are not the paper's."]
    return Table(title, frame, notes)
