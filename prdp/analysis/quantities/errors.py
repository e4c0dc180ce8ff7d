"""Final errors: of two arms compared, by fixed level, and by the size of the network."""

from itertools import pairwise
from typing import NamedTuple, cast

import pandas as pd

from prdp.analysis.comparison import diverged, finished
from prdp.analysis.quantities.means import by_seed
from prdp.analysis.quantities.selection import Selection
from prdp.analysis.statistics import Statistic, describe, exponent, relative_difference, sufficient_level


def excess(ours: pd.DataFrame, theirs: pd.DataFrame, column: str = "val_error_final") -> Statistic:
    """Return by how much the error of an arm exceeds another's, by seed, relative to the mean of the other's."""
    lost = diverged(ours) + diverged(theirs)
    return relative_difference(by_seed(ours, column), by_seed(theirs, column), diverged=lost)


def accuracy(
    selection: Selection, column: str = "val_error_final", arm: str = "prdp", against: str = "converged"
) -> Statistic | None:
    """Return the excess of an arm's final error over another's."""
    return excess(selection.arm(arm), selection.arm(against), column)


class Level(NamedTuple):
    """The sufficient fixed level of a case.

    Attributes:
        level: K_max, the lowest fixed K whose mean error is within one standard deviation of K_eps's.
        converged: K_eps.
        runs: runs at K_eps.
    """

    level: int
    converged: int
    runs: int

    @property
    def savings(self) -> float:
        """`1 - K_max / K_eps`."""
        return 1 - self.level / self.converged


def fan(runs: pd.DataFrame, column: str = "val_error_final") -> dict[int, Statistic]:
    """Return a column over seeds by the K of the fixed schedules of one case."""
    levels = runs[runs["schedule"] == "fixed"].groupby("iterations_final")
    return {
        int(cast(int, k)): describe(finished(group)[column], diverged=diverged(group)) for k, group in levels
    }


def sufficient(runs: pd.DataFrame, column: str = "val_error_final") -> Level | None:
    """Return the sufficient level of one case; null without K_eps, with one seed of it or with no other level."""
    errors = fan(runs, column)
    if len(errors) < 2:
        return None
    converged = int(runs["converged_iterations"].iloc[0])
    level = sufficient_level(errors, converged)
    return None if level is None else Level(level, converged, errors[converged].runs)


def _of_selection(selection: Selection, column: str) -> Level | None:
    case = selection.arm("converged")["case"]
    return sufficient(selection.runs[selection.runs["case"].isin(case)], column)


def level_sufficient(selection: Selection, column: str = "val_error_final") -> Statistic | None:
    """Return K_max of the fixed levels."""
    found = _of_selection(selection, column)
    return None if found is None else Statistic(found.runs, float(found.level))


def savings_sufficient(selection: Selection, column: str = "val_error_final") -> Statistic | None:
    """Return `1 - K_max / K_eps` of the fixed levels."""
    found = _of_selection(selection, column)
    return None if found is None else Statistic(found.runs, found.savings)


def size_exponent(
    selection: Selection, column: str = "val_error_final", arm: str = "prdp"
) -> Statistic | None:
    """Return p of `error ~ parameters^p` over the widths of an MLP, fitted for each seed that has all of them."""
    parts = [(parameters(part.runs), part.arm(arm)) for _, part in selection.by("model.width")]
    parts = [(size, runs) for size, runs in parts if not runs.empty]
    if len(parts) < 2:
        return None
    errors = [by_seed(runs, column) for _, runs in parts]
    seeds = set.intersection(*map(set, errors))
    return describe(
        [exponent([size for size, _ in parts], [e[s] for e in errors]) for s in sorted(seeds)],
        diverged=sum(diverged(runs) for _, runs in parts),
    )


def parameters(runs: pd.DataFrame) -> int:
    """Return the number of parameters of the runs' MLP: weights and biases of `depth` hidden layers."""
    first = runs.iloc[0]
    n, width, depth = (int(first[c]) for c in ("physics.points", "model.width", "model.depth"))
    sizes = [n ** int(first["physics.dimensions"])]
    sizes = [*sizes, *[width] * depth, *sizes]
    return sum((a + 1) * b for a, b in pairwise(sizes))
