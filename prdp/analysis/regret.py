"""Regret: how far a schedule is from the best one in hindsight (found by `scripts/oracle.py`)."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from prdp.analysis.problems import REDUCED
from prdp.analysis.rival_names import CONVERGED, PRDP, SCHEDULE
from prdp.analysis.rivals import Comparison, Rival
from prdp.analysis.statistics import Statistic, describe

# Schedules over tolerances have no K to compare.
OVER_TOLERANCES = ("tolerance_prdp", "hoag")
_PREFIX = "oracle_"


class Regret(NamedTuple):
    """The regret of a schedule against the best one known, over all seeds that were searched.

    Known are the schedules found by search, and the schedule itself. So a seed on which the search found nothing better
    counts as 1 and is not left out, which would keep only the seeds on which the schedule does badly.

    Attributes:
        rival: the schedule.
        iterations: its iterations divided by those of the cheapest known schedule that is at least as accurate.
        error: its error divided by that of the known schedule with the smallest validation error among those that take
            at most as many iterations. On a test set it may be below 1.
        held_out: whether accuracy in both is that on the held-out test set, as where every seed has test errors; else
            it is that on the validation samples.
        unbeaten: seeds on which no schedule found is as accurate with fewer iterations.
    """

    rival: Rival
    iterations: Statistic
    error: Statistic
    held_out: bool
    unbeaten: int


def load_oracles(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the fronts of `oracle_<problem>.parquet` by problem (see `problems.physics_of`); empty if there are none.

    `val_error` is that of the samples on which the schedules were chosen: the smallest of many errors is smaller than a
    schedule's error on other samples would be, so that a regret in it is an upper bound. `test_error` is that of
    samples that the search did not see.

    Each has the columns `seed`, `iterations_total`, `val_error`, `test_error` (may be absent), `levels` (K of each
    block) and `block` (its epochs).
    """
    paths = sorted(folder.glob(f"{_PREFIX}*.parquet"))
    return {path.stem.removeprefix(_PREFIX): pd.read_parquet(path) for path in paths}


def searched(problem: Comparison) -> str:
    """Return the name under which the oracle of a comparison is found."""
    return problem.physics + (REDUCED if problem.reduced else "")


def regrets(problem: Comparison, oracle: pd.DataFrame) -> list[Regret]:
    """Return the regret of each schedule over K with the problem's reference mode, on the seeds that were searched."""
    schedules = (
        r
        for r in problem.rivals
        if r.kind in (CONVERGED, PRDP, SCHEDULE) and r.schedule not in OVER_TOLERANCES and not r.diverged
    )
    fronts = _by_seed(problem, oracle)
    found = [_regret(rival, fronts) for rival in schedules]
    return [r for r in found if r.error.runs]


def of_searched(
    problems: Iterable[Comparison], oracles: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[Comparison, Regret]]:
    """Yield the regrets on each problem whose best schedules were searched: the paper's, without its variants."""
    for problem in problems:
        if searched(problem) in oracles and not problem.variant:
            yield from ((problem, found) for found in regrets(problem, oracles[searched(problem)]))


def _by_seed(problem: Comparison, oracle: pd.DataFrame) -> Mapping[int, pd.DataFrame]:
    fronts = {int(str(seed)): front for seed, front in oracle.groupby("seed")}
    if problem.to_common_error and problem.converged:
        # The seed changes nothing.
        return dict.fromkeys(problem.converged.errors, next(iter(fronts.values())))
    return fronts


def _regret(rival: Rival, fronts: Mapping[int, pd.DataFrame]) -> Regret:
    seeds = sorted(set(fronts) & set(rival.errors))
    held_out = bool(seeds) and all(seed in rival.tests and _has_tests(fronts[seed]) for seed in seeds)
    measure, own = ("test_error", rival.tests) if held_out else ("val_error", rival.errors)
    iterations, errors, unbeaten = [], [], 0
    for seed in seeds:
        front, spent = fronts[seed], rival.iterations[seed]
        cost = front["iterations_total"]
        accurate = cost[(cost < spent) & (front[measure] <= own[seed])]
        unbeaten += accurate.empty
        iterations.append(1.0 if accurate.empty else spent / accurate.min())
        # The search chooses on the validation samples.
        better = front[(cost <= spent) & (front["val_error"] < rival.errors[seed])]
        best = own[seed] if better.empty else better.sort_values("val_error", kind="stable")[measure].iloc[0]
        errors.append(own[seed] / best)
    return Regret(rival, describe(iterations), describe(errors), held_out, unbeaten)


def _has_tests(front: pd.DataFrame) -> bool:
    return "test_error" in front and bool(front["test_error"].notna().all())
