"""How far a schedule is from the best one in hindsight (what `scripts/oracle.py` found)."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from prdp.analysis.rivals import CONVERGED, PRDP, SCHEDULE, Comparison, Rival
from prdp.analysis.statistics import Statistic, describe

# They have no K in force to be compared with.
_OVER_TOLERANCES = ("tolerance_prdp", "hoag")
_PREFIX = "oracle_"


class Regret(NamedTuple):
    """What a schedule loses against the schedules that the search found, by seed.

    Attributes:
        rival: the schedule.
        iterations: its iterations over those of the cheapest schedule that ends no less accurate.
        error: its error over the least of those that take no more iterations.
        unmatched: seeds on which no schedule found ends as accurate; they are not in `iterations`.
    """

    rival: Rival
    iterations: Statistic
    error: Statistic
    unmatched: int


def load_oracles(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the fronts of `oracle_<physics>.parquet` by physics; empty if there are none.

    Each has the columns `seed`, `iterations_total`, `val_error`, `levels` (K of each block) and `block` (its epochs).
    """
    paths = sorted(folder.glob(f"{_PREFIX}*.parquet"))
    return {path.stem.removeprefix(_PREFIX): pd.read_parquet(path) for path in paths}


def regrets(problem: Comparison, oracle: pd.DataFrame) -> list[Regret]:
    """Return the regret of each schedule of implicit training that has a K, on the seeds that were searched."""
    schedules = (
        r
        for r in problem.rivals
        if r.kind in (CONVERGED, PRDP, SCHEDULE) and r.schedule not in _OVER_TOLERANCES and not r.diverged
    )
    fronts = _by_seed(problem, oracle)
    found = [_regret(rival, fronts) for rival in schedules]
    return [r for r in found if r.error.runs]


def best_in_hindsight(problem: Comparison, oracle: pd.DataFrame, margin: float) -> str:
    """Return the cheapest schedule found that ends at most by `margin` above the converged error, in words.

    It is that of the first seed that has one; empty if none has.
    """
    errors = problem.converged.errors if problem.converged else {}
    for seed, front in _by_seed(problem, oracle).items():
        good = front[front["val_error"] <= (1 + margin) * errors.get(seed, -1.0)]
        if len(good):
            return _in_words(good.nsmallest(1, "iterations_total").to_dict("records")[0])
    return ""


def _by_seed(problem: Comparison, oracle: pd.DataFrame) -> Mapping[int, pd.DataFrame]:
    fronts = {int(str(seed)): front for seed, front in oracle.groupby("seed")}
    if problem.to_common_error and problem.converged:
        # Its seed changes nothing.
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


def _in_words(schedule: Mapping[Any, Any]) -> str:
    runs = [(level, len(list(blocks))) for level, blocks in groupby(int(k) for k in schedule["levels"])]
    block = int(schedule["block"])
    parts = [f"K = {level} for {blocks * block} epochs" for level, blocks in runs]
    return ", then ".join(parts)
