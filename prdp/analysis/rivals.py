"""Rivals of PRDP: modes, schedules, solvers and warm starts on one problem, each with a name, costs and an error."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from prdp.analysis import problems
from prdp.analysis.comparison import (
    CONDITIONS,
    diverged,
    finished,
    number,
    tidy,
    timed_alone,
)
from prdp.analysis.quantities import COMMON_ERROR, MARGIN, by_seed, first_reach
from prdp.analysis.records import OWN, Records
from prdp.analysis.rival_names import CONVERGED, KINDS, PRDP, named
from prdp.analysis.statistics import Statistic, describe, relative_difference
from prdp.analysis.verdicts import in_seeds

EXPERIMENT = "rivals"
_TEST = "test_error_final"
COSTS = ("matvecs", "iterations_total", "iterations_executed_total", "seconds", "updates")


@dataclass(frozen=True, eq=False)
class Rival:
    """One way to train on a problem: a solver, a mode, a start and a schedule.

    Attributes:
        name: how it differs from converged training with the problem's reference solver and mode.
        kind: one of `KINDS`.
        schedule: its name in the configuration.
        runs: number of runs, one per seed.
        diverged: how many of them diverged.
        errors: final validation error by seed.
        tests: final error on the held-out test set by seed, of the runs that have one.
        iterations: K summed over the whole training, by seed.
        error: statistics of the errors, with the interval of their median.
        costs: what it spent, by name (see `COSTS`), with the intervals of the medians. For an inverse problem, costs
            are those until the parameter error is at most `COMMON_ERROR` for the first time; no runs if it never is.
            Seconds are those of training and validation of runs that may be compared (see `timed_together`). There
            are no products if one of its runs counted them by an older rule (see `counted_otherwise`).
        attained: the error that the costs buy: the median error, or `COMMON_ERROR` for an inverse problem. Null if a
            run diverged or never reached that error.
    """

    name: str
    kind: str
    schedule: str
    runs: int
    diverged: int
    errors: dict[int, float]
    tests: dict[int, float]
    iterations: dict[int, float]
    error: Statistic
    costs: dict[str, Statistic]
    attained: float | None

    def cost(self, name: str) -> float:
        """Return the median of a cost; NaN without any."""
        return self.costs[name].median

    def excess(self, other: "Rival") -> Statistic:
        """Return by how much its error exceeds another's, by seed, relative to the mean of the other's."""
        return relative_difference(self.errors, other.errors, diverged=self.diverged)

    def share(self, other: "Rival", cost: str) -> float:
        """Return its cost as a share of another's; NaN if one of both has none."""
        theirs = other.cost(cost)
        return self.cost(cost) / theirs if theirs else math.nan


@dataclass(frozen=True, eq=False)
class Comparison:
    """The rivals of one problem.

    Attributes:
        physics: its name.
        reduced: whether the problem is smaller than the paper's.
        variant: the settings in which it differs from other problems of this physics; may be empty.
        rivals: in the order of `KINDS`, within a kind by name.
    """

    physics: str
    reduced: bool
    variant: str
    rivals: tuple[Rival, ...]

    @property
    def title(self) -> str:
        """The problem in print."""
        title = problems.title(self.physics, reduced=self.reduced)
        return f"{title} ({self.variant})" if self.variant else title

    @property
    def seeds(self) -> str:
        """The number of seeds in words, as a range if rivals differ; empty for an inverse problem.

        Rivals with a diverged run, which have no cost, are left out unless there are no others.
        """
        counts = [r.runs for r in self.rivals if not r.diverged] or [r.runs for r in self.rivals]
        return "" if self.to_common_error else in_seeds(*counts)

    @property
    def to_common_error(self) -> bool:
        """Whether costs are compared up to a common error."""
        return problems.problem(self.physics).kind == "inverse"

    @property
    def converged(self) -> Rival | None:
        """Converged training with the problem's reference solver and mode."""
        return self._only(CONVERGED)

    @property
    def prdp(self) -> Rival | None:
        """PRDP with the problem's reference solver and mode."""
        return self._only(PRDP)

    def no_worse(self, rival: Rival, other: Rival) -> bool:
        """Return whether a rival's mean error exceeds another's by at most `MARGIN`, or it reached the common error."""
        if rival.attained is None:
            return False
        return self.to_common_error or rival.excess(other).mean <= MARGIN

    def _only(self, kind: str) -> Rival | None:
        return next((r for r in self.rivals if r.kind == kind), None)


def compare(records: Records) -> list[Comparison]:
    """Return the comparison of each problem that has runs of `rivals` or own runs.

    All rivals of the experiment are compared on the seeds that all of them have. An own run that shares some of these
    seeds is compared on them.
    """
    chosen = records.of(EXPERIMENT, OWN)
    if chosen.summaries.empty:
        return []
    runs = named(tidy(chosen))
    runs["own"] = ~runs["run"].isin(records.of(EXPERIMENT).summaries["run"])
    found = []
    for _, part in runs.groupby("problem"):
        first, part = part.iloc[0], part.assign(timed=timed_together(part))
        rivals = [_rival(arm, chosen) for _, arm in _of_common_seeds(part).groupby("rival")]
        rivals.sort(key=lambda r: (KINDS.index(r.kind), r.name))
        variant = str(first["problem_variant"])
        found.append(Comparison(str(first["physics"]), first["scale"] != "full", variant, tuple(rivals)))
    return sorted(found, key=lambda c: (c.to_common_error, problems.place(c.physics), c.reduced, c.variant))


def within_margin(excess: Statistic) -> bool:
    """Return whether an interval lies at most `MARGIN` above the other's error; not without an interval."""
    return excess.high is not None and excess.high <= MARGIN


def timed_together(runs: pd.DataFrame) -> pd.Series:
    """Return which runs of a problem may be compared by seconds.

    They were timed alone, under the conditions (`CONDITIONS`) that most of these share.
    """
    alone = timed_alone(runs)
    conditions = number(runs, [c for c in CONDITIONS if c in runs])
    return alone & (conditions == conditions[alone].mode()[0]) if alone.any() else alone


def pareto_front(rivals: Iterable[Rival], cost: str) -> list[Rival]:
    """Return the rivals that no other beats in cost and error, by medians and cheapest first.

    A rival with a diverged run is never among them. Seconds vary from run to run: there a rival is beaten only if the
    95 % interval of the other's lies below its own, and the front is empty while one of the rivals has no interval.
    """
    usable = [r for r in rivals if r.attained is not None]
    if cost == "seconds" and any(r.costs[cost].high is None for r in usable):
        return []
    usable = [r for r in usable if not math.isnan(r.cost(cost))]
    kept = [r for r in usable if not any(_beats(other, r, cost) for other in usable)]
    return sorted(kept, key=lambda r: (r.cost(cost), r.attained, r.name))


def _beats(other: Rival, rival: Rival, cost: str) -> bool:
    assert other.attained is not None
    assert rival.attained is not None
    if cost == "seconds":
        high, low = other.costs[cost].high, rival.costs[cost].low
        return high is not None and low is not None and high < low and other.attained <= rival.attained
    ours, theirs = (rival.cost(cost), rival.attained), (other.cost(cost), other.attained)
    return theirs[0] <= ours[0] and theirs[1] <= ours[1] and theirs != ours


def cheapest(rivals: Iterable[Rival], cost: str) -> Rival | None:
    """Return the rival with the smallest cost; null if none has one."""
    found = [r for r in rivals if not math.isnan(r.cost(cost))]
    return min(found, key=lambda r: (r.cost(cost), r.name), default=None)


def _of_common_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the seeds that all rivals have, so that medians are comparable; all if there is none."""
    arms = [set(arm["seed"]) for _, arm in runs[~runs["own"]].groupby("rival")]
    common = set.intersection(*arms) if arms else set()
    shared = runs["seed"].isin(common)
    shares = shared.groupby(runs["rival"]).transform("any")
    return runs[shared | ~shares] if common else runs


def _rival(arm: pd.DataFrame, records: Records) -> Rival:
    first, done, lost = arm.iloc[0], finished(arm), diverged(arm)
    error = describe(done["val_error_final"], interval_of="median", diverged=lost)
    to_common_error = problems.problem(first["physics"]).kind == "inverse"
    spent = (_until_common_error(done, records) if to_common_error else done[list(COSTS)]).astype(float)
    spent.loc[~done["timed"], "seconds"] = math.nan
    if arm["matvecs"].isna().any():
        spent["matvecs"] = math.nan
    costs = {c: describe(spent[c], interval_of="median", diverged=lost) for c in COSTS}
    attained = error.median if not to_common_error else COMMON_ERROR
    usable = not lost and costs["iterations_total"].runs > 0
    return Rival(
        name=first["rival"],
        kind=first["kind"],
        schedule=first["schedule"],
        runs=len(arm),
        diverged=lost,
        errors=by_seed(arm, "val_error_final"),
        tests=by_seed(arm[arm[_TEST].notna()], _TEST) if _TEST in arm else {},
        iterations=by_seed(arm, "iterations_total"),
        error=error,
        costs=costs,
        attained=attained if usable else None,
    )


def _until_common_error(runs: pd.DataFrame, records: Records) -> pd.DataFrame:
    rows = [_spent(records.history(run)) for run in runs["run"]]
    return pd.DataFrame(rows, index=runs.index, columns=list(COSTS))


def _spent(history: pd.DataFrame) -> dict[str, float]:
    try:
        updates = first_reach(history, COMMON_ERROR)
    except ValueError:
        return dict.fromkeys(COSTS, math.nan)
    so_far = history[history["updates"] <= updates]
    last = so_far.iloc[-1]
    return {
        "matvecs": float(last["matvecs_total"] + last["adjoint_matvecs_total"]),
        "iterations_total": float(last["iterations_total"]),
        "iterations_executed_total": float(last["iterations_executed_total"]),
        "seconds": float(so_far[["seconds_train", "seconds_validate"]].to_numpy().sum()),
        "updates": float(updates),
    }
