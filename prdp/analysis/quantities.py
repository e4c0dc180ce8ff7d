"""The quantities that the paper's numbers are compared with, each a function of selected runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import pandas as pd

from prdp.analysis.comparison import baseline, differing, diverged, finished, tidy, timed_alone
from prdp.analysis.poisson import first_reach, paper_account
from prdp.analysis.records import Records
from prdp.analysis.statistics import Statistic, describe, exponent, relative_difference, sufficient_level


class Ambiguous(ValueError):
    """Runs that were to be one arm of one case differ in more than their seed."""


@dataclass(frozen=True)
class Selection:
    """The runs that a claim is about.

    Attributes:
        runs: rows of `tidy`.
        records: where their histories are.
    """

    runs: pd.DataFrame
    records: Records

    @classmethod
    def of(cls, records: Records, *experiments: str) -> "Selection":
        """Return the runs of some experiments."""
        chosen = records.of(*experiments)
        return cls(tidy(chosen), chosen)

    def where(self, physics: str | None, values: Mapping[str, Any], scale: str = "full") -> "Selection":
        """Return the runs of a physics (null: all) and size whose columns have some values."""
        keep = pd.Series(True, index=self.runs.index)
        for column, value in {"physics": physics, "scale": scale, **values}.items():
            if value is not None:
                keep &= self.runs[column] == value if column in self.runs else False
        return Selection(self.runs[keep], self.records)

    def arm(self, name: str, only: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the runs of an arm, in the order of their seeds: prdp, train_loss, tolerance, linear or converged.

        Args:
            name: of the arm.
            only: values of columns that choose between several arms of that name.

        Raises:
            Ambiguous: they differ in more than the seed.
        """
        chosen = self.where(None, only or {}).runs
        chosen = chosen[_ARMS[name](chosen)]
        if chosen["case"].nunique() > 1:
            raise Ambiguous(f"the runs of {name} differ in {', '.join(differing(chosen))}")
        if chosen["arm"].nunique() > 1:
            raise Ambiguous(f"{name} is more than one schedule: {', '.join(chosen['arm'].unique())}")
        return chosen.sort_values("seed")

    def history(self, name: str, only: Mapping[str, Any] | None = None) -> pd.DataFrame | None:
        """Return the history of an arm's first finished run; null if there is none."""
        runs = finished(self.arm(name, only))
        return None if runs.empty else self.records.history(runs["run"].iloc[0])

    def by(self, column: str) -> "list[tuple[Any, Selection]]":
        """Return the selection split by the values of a column, in their order."""
        return [(value, Selection(runs, self.records)) for value, runs in self.runs.groupby(column)]


_ARMS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "prdp": lambda runs: (runs["schedule"] == "prdp") & (runs["metric"] == "val_error"),
    "train_loss": lambda runs: (runs["schedule"] == "prdp") & (runs["metric"] == "train_loss"),
    "tolerance": lambda runs: runs["schedule"] == "tolerance_prdp",
    "linear": lambda runs: runs["schedule"] == "linear",
    "converged": lambda runs: runs["is_converged"],
}


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
    # One size alone says nothing of whether size matters.
    return max(known, key=lambda s: abs(s.mean - value)) if len(known) > 1 else None


def difference(selection: Selection, column: str, arm: str, against: str) -> Statistic | None:
    """Return the difference of a column between two arms by seed."""
    ours, theirs = selection.arm(arm), selection.arm(against)
    a, b = (by_seed(runs, column) for runs in (ours, theirs))
    return describe(
        [a[s] - b[s] for s in a if s in b], interval_of="mean", diverged=diverged(ours) + diverged(theirs)
    )


def accuracy(
    selection: Selection, column: str = "val_error_final", arm: str = "prdp", against: str = "converged"
) -> Statistic | None:
    """Return by how much an arm's final error is above another's, by seed, relative to the mean of the other's."""
    ours, theirs = selection.arm(arm), selection.arm(against)
    return relative_difference(
        by_seed(ours, column), by_seed(theirs, column), diverged=diverged(ours) + diverged(theirs)
    )


def level_sufficient(selection: Selection, column: str = "val_error_final") -> Statistic | None:
    """Return K_max of the fixed levels (see `sufficient_level`)."""
    found = _sufficient(selection, column)
    return None if found is None else Statistic(found[2].runs, float(found[0]))


def savings_sufficient(selection: Selection, column: str = "val_error_final") -> Statistic | None:
    """Return `1 - K_max / K_eps`, with K_max of the fixed levels."""
    found = _sufficient(selection, column)
    return None if found is None else Statistic(found[2].runs, 1 - found[0] / found[1])


def _sufficient(selection: Selection, column: str) -> tuple[int, int, Statistic] | None:
    converged = selection.arm("converged")
    errors = fan(selection.runs[selection.runs["case"].isin(converged["case"])], column)
    if converged.empty or len(errors) < 2:
        return None
    top = int(converged["converged_iterations"].astype(int).iloc[0])
    level = sufficient_level(errors, top)
    return None if level is None else (level, top, errors[top])


def fan(runs: pd.DataFrame, column: str) -> dict[int, Statistic]:
    """Return a column over seeds by the K of the fixed schedules of one case."""
    levels = runs[runs["schedule"] == "fixed"].groupby("iterations_final")
    return {
        int(cast(int, k)): describe(finished(group)[column], diverged=diverged(group)) for k, group in levels
    }


def wall_clock(selection: Selection, against: str = "seconds") -> Statistic | None:
    """Return the share of seconds (training and validation) saved, on one device, by runs that were timed alone.

    Args:
        selection: of one case.
        against: the baseline's seconds; `seconds_train` leaves out its validation.
    """
    runs, converged = (x[timed_alone(x)] for x in (selection.arm("prdp"), selection.arm("converged")))
    if runs.empty or converged.empty:
        return None
    seconds = pd.concat([runs, converged])
    paid = finished(runs)["seconds"] / baseline(seconds, against, same_device=True).loc[finished(runs).index]
    return describe(1 - paid, diverged=diverged(runs))


def poisson(
    selection: Selection, part: str, arm: str = "prdp", only: Mapping[str, Any] | None = None
) -> Statistic | None:
    """Return a number of the paper's account: `baseline_cost`, `saved` (iterations) or `savings` (their share)."""
    base, schedule = selection.history("converged"), selection.history(arm, only)
    if base is None or schedule is None:
        return None
    first = selection.arm(arm, only).iloc[0]
    found = paper_account(
        base, schedule, parameters=int(first["physics.parameters"]), name=str(first["schedule"])
    )
    numbers = {
        "baseline_cost": found.baseline_cost,
        "saved": found.baseline_cost - found.cost,
        "savings": found.savings,
    }
    return Statistic(1, float(numbers[part]))


def poisson_advantage(selection: Selection, arm: str, against: str) -> Statistic | None:
    """Return the savings of one schedule over another's, by the paper's account."""
    ours, theirs = poisson(selection, "savings", arm), poisson(selection, "savings", against)
    return None if ours is None or theirs is None else Statistic(1, ours.mean - theirs.mean)


def outer_steps(selection: Selection, error: float, arm: str = "converged") -> Statistic | None:
    """Return the first update after which the error is at most `error`; null if there is none."""
    history = selection.history(arm)
    if history is None or history["val_error"].min() > error:
        return None
    return Statistic(1, float(first_reach(history, error)))


def final_residual(selection: Selection, level: int, arm: str = "converged") -> Statistic | None:
    """Return the mean relative residual that `level` iterations left in the solves of the last interval."""
    runs = selection.arm(arm)
    runs = finished(runs[runs["iterations_final"] == level])
    histories = selection.records.histories
    return describe(histories[histories["run"].isin(runs["run"])].groupby("run")["residual_mean"].last())


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


def by_seed(runs: pd.DataFrame, column: str) -> dict[int, float]:
    """Return a column of the finished runs of an arm by seed."""
    done = finished(runs)
    return dict(zip(done["seed"], done[column].astype(float), strict=True)) if column in done else {}


QUANTITIES: dict[str, Callable[..., Statistic | None]] = {
    f.__name__: f
    for f in (
        mean,
        largest,
        farthest,
        difference,
        accuracy,
        level_sufficient,
        savings_sufficient,
        wall_clock,
        poisson,
        poisson_advantage,
        outer_steps,
        final_residual,
        size_exponent,
    )
}
