"""Final errors: of two arms compared, by fixed level, and by the size of the network."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pandas as pd

from prdp.analysis.comparison import diverged, finished
from prdp.analysis.quantities.means import by_seed
from prdp.analysis.quantities.selection import Selection
from prdp.analysis.statistics import Statistic, describe, exponent, relative_difference, sufficient_level

# An error is no worse than another if it exceeds it by at most this share: the margin of the claims of equal accuracy.
MARGIN = 0.1


def excess(ours: pd.DataFrame, theirs: pd.DataFrame, column: str = "val_error_final") -> Statistic:
    """Return by how much the error of an arm exceeds another's, by seed, relative to the mean of the other's."""
    lost = diverged(ours) + diverged(theirs)
    return relative_difference(by_seed(ours, column), by_seed(theirs, column), diverged=lost)


def accuracy(
    selection: Selection,
    column: str = "val_error_final",
    arm: str = "prdp",
    against: str = "converged",
    only: Mapping[str, Any] | None = None,
) -> Statistic | None:
    """Return the excess of an arm's final error over another's; `only` chooses one of several first arms."""
    return excess(selection.arm(arm, only), selection.arm(against), column)


def worse_than_untrained(selection: Selection, level: int, column: str = "val_error") -> Statistic | None:
    """Return by how much the error after training at a fixed K exceeds the untrained network's, relative to it."""
    runs = selection.runs[
        (selection.runs["schedule"] == "fixed") & (selection.runs["iterations_final"] == level)
    ]
    done = finished(runs)
    errors = selection.records.histories.groupby("run")[column]
    first, last = errors.first(), errors.last()
    return describe([last[run] / first[run] - 1 for run in done["run"]], diverged=diverged(runs))


class Level(NamedTuple):
    """The sufficient fixed level of a case.

    Attributes:
        level: K_max, the lowest fixed K beyond which the error does not improve (see `sufficient_level`).
        lowest: the lowest level that it may be: below `level` if too few seeds tell a lower level from K_eps.
        converged: K_eps.
        runs: runs at K_eps.
    """

    level: int
    lowest: int
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
    levels = runs[runs["schedule"] == "fixed"].groupby("iterations_final")
    errors = {int(cast(int, k)): by_seed(group, column) for k, group in levels if not diverged(group)}
    if len(errors) < 2:
        return None
    converged = int(runs["converged_iterations"].iloc[0])
    found = sufficient_level(errors, converged, MARGIN)
    return None if found is None else Level(*found, converged, len(errors[converged]))


def _of_selection(selection: Selection, column: str) -> Level | None:
    case = selection.arm("converged")["case"]
    return sufficient(selection.runs[selection.runs["case"].isin(case)], column)


def level_sufficient(selection: Selection, column: str = "val_error_final") -> Statistic | None:
    """Return K_max of the fixed levels; its interval reaches down to the lowest level that it may be."""
    found = _of_selection(selection, column)
    return None if found is None else _between(found.runs, float(found.lowest), float(found.level))


def savings_sufficient(selection: Selection, column: str = "val_error_final") -> Statistic | None:
    """Return `1 - K_max / K_eps` of the fixed levels; its interval reaches up to that of the lowest level."""
    found = _of_selection(selection, column)
    if found is None:
        return None
    return _between(found.runs, 1 - found.lowest / found.converged, found.savings)


def _between(runs: int, other: float, value: float) -> Statistic:
    return Statistic(runs, value, low=min(other, value), high=max(other, value))


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
