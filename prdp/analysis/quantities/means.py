"""Means of recorded columns, and differences between arms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from prdp.analysis.comparison import diverged, finished
from prdp.analysis.quantities.selection import Selection
from prdp.analysis.statistics import Statistic, describe


def by_seed(runs: pd.DataFrame, column: str) -> dict[int, float]:
    """Return a column of the finished runs of an arm by seed."""
    done = finished(runs)
    return dict(zip(done["seed"], done[column].astype(float), strict=True)) if column in done else {}


def mean(
    selection: Selection, column: str, arm: str = "prdp", only: Mapping[str, Any] | None = None
) -> Statistic | None:
    """Return a column of the summaries over the seeds of an arm; `only` chooses one of several arms of that name."""
    runs = selection.arm(arm, only)
    return describe(finished(runs)[column], diverged=diverged(runs)) if column in runs else None


def largest(
    selection: Selection, column: str, arm: str = "prdp", physics: Sequence[str] = ()
) -> Statistic | None:
    """Return the largest mean of a column over some physics; null while one of them has no run."""
    split = dict(selection.by("physics"))
    found = [mean(split[name], column, arm) for name in physics if name in split]
    known = [s for s in found if s is not None and s.runs]
    return max(known, key=lambda s: s.mean) if known and len(known) == len(physics) else None


def farthest(selection: Selection, column: str, by: str, value: float, arm: str = "prdp") -> Statistic | None:
    """Return the mean of a column whose interval reaches farthest from a value, over the values of the column `by`."""
    found = [mean(part, column, arm) for _, part in selection.by(by)]
    known = [s for s in found if s is not None and s.runs]
    # One value alone cannot show whether `by` matters.
    return max(known, key=lambda s: _reach(s, value)) if len(known) > 1 else None


def _reach(statistic: Statistic, value: float) -> float:
    ends = (x for x in (statistic.low, statistic.mean, statistic.high) if x is not None)
    return max(abs(x - value) for x in ends)


def difference(selection: Selection, column: str, arm: str, against: str) -> Statistic | None:
    """Return the difference of a column between two arms by seed."""
    ours, theirs = selection.arm(arm), selection.arm(against)
    a, b = (by_seed(runs, column) for runs in (ours, theirs))
    return _paired(a, b, ours, theirs)


def roughness(selection: Selection, column: str, arm: str, against: str) -> Statistic | None:
    """Return how much rougher a column of the histories falls in one arm than in another, by seed.

    The roughness of a curve is the mean over epochs of the absolute second difference of its logarithm. Epochs without
    a value (the training loss before the first update) count for nothing.
    """
    ours, theirs = selection.arm(arm), selection.arm(against)
    histories = dict(list(selection.records.histories.groupby("run")))

    def of(runs: pd.DataFrame) -> dict[int, float]:
        done = finished(runs)
        curves = (histories[run].sort_values("epoch")[column].dropna().to_numpy(float) for run in done["run"])
        return {
            s: float(np.abs(np.diff(np.log(c), 2)).mean()) for s, c in zip(done["seed"], curves, strict=True)
        }

    return _paired(of(ours), of(theirs), ours, theirs)


def _paired(
    a: Mapping[int, float], b: Mapping[int, float], ours: pd.DataFrame, theirs: pd.DataFrame
) -> Statistic:
    return describe([a[s] - b[s] for s in a if s in b], diverged=diverged(ours) + diverged(theirs))


def final_residual(selection: Selection, level: int, arm: str = "converged") -> Statistic | None:
    """Return the mean relative residual after `level` iterations in the solves of the last epoch."""
    runs = selection.arm(arm)
    runs = finished(runs[runs["iterations_final"] == level])
    histories = selection.records.histories
    return describe(histories[histories["run"].isin(runs["run"])].groupby("run")["residual_mean"].last())
