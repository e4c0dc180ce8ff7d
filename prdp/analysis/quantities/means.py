"""Means of recorded columns, and differences between arms."""

from collections.abc import Sequence

import pandas as pd

from prdp.analysis.comparison import diverged, finished
from prdp.analysis.quantities.selection import Selection
from prdp.analysis.statistics import Statistic, describe


def by_seed(runs: pd.DataFrame, column: str) -> dict[int, float]:
    """Return a column of the finished runs of an arm by seed."""
    done = finished(runs)
    return dict(zip(done["seed"], done[column].astype(float), strict=True)) if column in done else {}


def mean(selection: Selection, column: str, arm: str = "prdp") -> Statistic | None:
    """Return a column of the summaries over the seeds of an arm."""
    runs = selection.arm(arm)
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
    """Return the mean of a column that is farthest from a value, over the values of the column `by`."""
    found = [mean(part, column, arm) for _, part in selection.by(by)]
    known = [s for s in found if s is not None and s.runs]
    # One value alone cannot show whether `by` matters.
    return max(known, key=lambda s: abs(s.mean - value)) if len(known) > 1 else None


def difference(selection: Selection, column: str, arm: str, against: str) -> Statistic | None:
    """Return the difference of a column between two arms by seed."""
    ours, theirs = selection.arm(arm), selection.arm(against)
    a, b = (by_seed(runs, column) for runs in (ours, theirs))
    return describe(
        [a[s] - b[s] for s in a if s in b], interval_of="mean", diverged=diverged(ours) + diverged(theirs)
    )


def final_residual(selection: Selection, level: int, arm: str = "converged") -> Statistic | None:
    """Return the mean relative residual after `level` iterations in the solves of the last epoch."""
    runs = selection.arm(arm)
    runs = finished(runs[runs["iterations_final"] == level])
    histories = selection.records.histories
    return describe(histories[histories["run"].isin(runs["run"])].groupby("run")["residual_mean"].last())
