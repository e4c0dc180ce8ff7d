"""Savings against the converged baseline: iterations, matrix-vector products and seconds."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from prdp.analysis.comparison import baseline, diverged, finished, timed_alone
from prdp.analysis.quantities.selection import NotTimedAlone, Selection
from prdp.analysis.statistics import Statistic, describe

PARTS = ("savings", "savings_incomplete_convergence", "savings_progressive_refinement")


class Savings(NamedTuple):
    """Shares of the iterations of converged training, over the finished seeds of an arm.

    Attributes:
        total: saved in all: `1 - sum K / (K_eps * epochs)`.
        incomplete: by incomplete convergence: `1 - K_max / K_eps` with K_max the last level.
        progressive: by progressive refinement: the rest.
    """

    total: Statistic
    incomplete: Statistic
    progressive: Statistic


def savings(runs: pd.DataFrame) -> Savings:
    """Return the savings of the runs of an arm."""
    return Savings(*(describe(finished(runs)[part], diverged=diverged(runs)) for part in PARTS))


def matvecs_saved(runs: pd.DataFrame) -> pd.Series:
    """Return for each run the share of matrix-vector products saved; the baselines must be among the runs."""
    return 1 - runs["matvecs"] / baseline(runs, "matvecs")


def time_saved(runs: pd.DataFrame, ours: str = "seconds", theirs: str = "seconds") -> pd.Series:
    """Return for each run the share of seconds saved against its baseline, which must be among the runs.

    Both are of one commit and ran on one device, with as many processors, while other processes took at most 5 % of CPU
    time. Others have NaN.

    Args:
        runs: rows of `tidy`.
        ours: which seconds of the run (`seconds`: training and validation).
        theirs: which seconds of the baseline.
    """
    alone = runs[timed_alone(runs)]
    share = 1 - alone[ours] / baseline(alone, theirs, same_conditions=True)
    return share.reindex(runs.index, fill_value=math.nan)


def wall_clock(
    selection: Selection, against: str = "seconds", only: Mapping[str, Any] | None = None
) -> Statistic | None:
    """Return the share of seconds that PRDP saves (see `time_saved`), on the device with the most pairs.

    Args:
        selection: of one case.
        against: the baseline's seconds; `seconds_train` leaves out its validation.
        only: values of columns that choose one of several arms of PRDP.

    Raises:
        NotTimedAlone: both arms have finished runs, but no pair that may be compared.
    """
    runs, converged = selection.arm("prdp", only), selection.arm("converged")
    if finished(runs).empty or finished(converged).empty:
        return None
    share = time_saved(pd.concat([runs, converged]), theirs=against).loc[finished(runs).index].dropna()
    if share.empty:
        raise NotTimedAlone(f"{len(finished(runs))} runs and {len(finished(converged))} baselines")
    # Machines differ: the one with the most pairs counts.
    device = runs.loc[share.index, "device"]
    return describe(share[device == device.mode()[0]], diverged=diverged(runs))


def timed_in_blocks(runs: pd.DataFrame, others: pd.DataFrame) -> bool:
    """Return whether all runs of one arm, several, were recorded before all of the other.

    Then a drift of the machine's speed is part of the difference, and pairs by seed do not take it out.
    """
    a, b = (pd.to_datetime(x.loc[timed_alone(x), "recorded"]) for x in (finished(runs), finished(others)))
    return min(len(a), len(b)) > 1 and bool(a.max() < b.min() or b.max() < a.min())
