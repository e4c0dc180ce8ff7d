"""Regret: how far a schedule is from the best one in hindsight (found by `scripts/oracle.py`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from prdp.analysis.rival_names import CONVERGED, PRDP, SCHEDULE
from prdp.analysis.rivals import Comparison, Rival
from prdp.analysis.statistics import Statistic, describe

# Schedules over tolerances have no K to compare.
_OVER_TOLERANCES = ("tolerance_prdp", "hoag")
_PREFIX = "oracle_"


class Regret(NamedTuple):
    """The regret of a schedule against the schedules found by search, over seeds.

    Attributes:
        rival: the schedule.
        iterations: its iterations divided by those of the cheapest schedule that ends at least as accurate.
        error: its error divided by the smallest error of schedules that take at most as many iterations.
        unmatched: seeds on which no schedule found is as accurate; `iterations` excludes them.
    """

    rival: Rival
    iterations: Statistic
    error: Statistic
    unmatched: int


def load_oracles(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the fronts of `oracle_<physics>.parquet` by physics; empty if there are none.

    `val_error` is that of the samples on which the schedules were chosen: the smallest of many errors is smaller than a
    schedule's error on other samples would be, so that a regret is an upper bound.

    Each has the columns `seed`, `iterations_total`, `val_error`, `levels` (K of each block) and `block` (its epochs).
    """
    paths = sorted(folder.glob(f"{_PREFIX}*.parquet"))
    return {path.stem.removeprefix(_PREFIX): pd.read_parquet(path) for path in paths}


def regrets(problem: Comparison, oracle: pd.DataFrame) -> list[Regret]:
    """Return the regret of each schedule over K with implicit training, on the seeds that were searched."""
    schedules = (
        r
        for r in problem.rivals
        if r.kind in (CONVERGED, PRDP, SCHEDULE) and r.schedule not in _OVER_TOLERANCES and not r.diverged
    )
    fronts = _by_seed(problem, oracle)
    found = [_regret(rival, fronts) for rival in schedules]
    return [r for r in found if r.error.runs]


def _by_seed(problem: Comparison, oracle: pd.DataFrame) -> Mapping[int, pd.DataFrame]:
    fronts = {int(str(seed)): front for seed, front in oracle.groupby("seed")}
    if problem.to_common_error and problem.converged:
        # The seed changes nothing.
        return dict.fromkeys(problem.converged.errors, next(iter(fronts.values())))
    return fronts


def _regret(rival: Rival, fronts: Mapping[int, pd.DataFrame]) -> Regret:
    iterations, errors, unmatched = [], [], 0
    for seed in sorted(set(fronts) & set(rival.errors)):
        front, error, spent = fronts[seed], rival.errors[seed], rival.iterations[seed]
        accurate = front.loc[front["val_error"] <= error, "iterations_total"]
        cheap = front.loc[front["iterations_total"] <= spent, "val_error"]
        unmatched += accurate.empty
        iterations += [] if accurate.empty else [spent / accurate.min()]
        errors += [] if cheap.empty else [error / cheap.min()]
    return Regret(rival, describe(iterations), describe(errors), unmatched)
