"""Records as the text of cells."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from prdp.analysis.claims import Claim
from prdp.analysis.comparison import diverged, finished, tidy
from prdp.analysis.quantities import Selection
from prdp.analysis.records import Records
from prdp.analysis.statistics import Statistic, describe
from prdp.analysis.tables.table import NothingToShow

EMPTY = "-"
# Claims by id.
Paper = Mapping[str, Claim]
TITLES = {
    "poisson": "Poisson",
    "heat1d": "Heat 1D",
    "heat2d": "Heat 2D",
    "heat3d": "Heat 3D",
    "burgers": "Burgers",
    "navier_stokes": "Navier-Stokes",
}
NETWORKS = tuple(TITLES)[1:]


class Group(NamedTuple):
    """The seeds of one arm of one case.

    Attributes:
        first: one of the runs, for what they share.
        runs: rows of `tidy`.
        done: those that have not diverged.
    """

    first: pd.Series
    runs: pd.DataFrame
    done: pd.DataFrame

    @property
    def name(self) -> str:
        """The physics, its size if that is not the paper's, and what tells the case from others."""
        parts = [TITLES.get(self.first["physics"], self.first["physics"])]
        if self.first["scale"] != "full":
            parts.append("(reduced)")
        if self.first["variant"]:
            parts.append(f"({self.first['variant']})")
        return " ".join(parts)

    @property
    def seeds(self) -> str:
        """How many runs, and how many of them diverged."""
        lost = diverged(self.runs)
        return f"{len(self.runs)}" if not lost else f"{len(self.runs)}, {lost} diverged"

    def describe(self, column: str) -> Statistic:
        """Return a column over the seeds."""
        return describe(self.done.get(column, ()), diverged=diverged(self.runs))

    def median(self, column: str = "val_error_final") -> str:
        """Return a final error x1e-2, median and its 95 % interval."""
        found = describe(self.done[column], interval_of="median")
        return f"{100 * found.median:.2f}{interval(found, 100, 2)}" if found.runs else EMPTY

    def error(self, column: str = "val_error_final") -> str:
        """Return a final error x1e-2, mean ± std."""
        return spread(self.describe(column), 100, 2)

    def percent(self, column: str) -> str:
        """Return a share in percent, mean ± std."""
        return spread(self.describe(column), 100, 1)

    def range(self, column: str = "iterations_final") -> str:
        """Return the smallest and the largest of a column of integers."""
        if self.done.empty:
            return EMPTY
        low, high = int(self.done[column].min()), int(self.done[column].max())
        return str(low) if low == high else f"{low} to {high}"


def runs_of(records: Records, *experiments: str, physics: tuple[str, ...] = NETWORKS) -> pd.DataFrame:
    """Return the runs of some experiments and physics.

    Raises:
        NothingToShow: there is none.
    """
    runs = tidy(records.of(*experiments))
    runs = runs[runs["physics"].isin(physics)] if len(runs) else runs
    if runs.empty:
        raise NothingToShow(f"no run of {', '.join(experiments)}")
    return runs


def groups(runs: pd.DataFrame) -> Iterator[Group]:
    """Yield the arms of the cases: the paper's order of physics, its size first, baseline before schedules."""
    order = runs.assign(
        _physics=runs["physics"].map({p: i for i, p in enumerate(TITLES)}),
        _reduced=runs["scale"] != "full",
        _schedule=runs["schedule"] != "fixed",
        # A schedule's runs end at different levels.
        _level=runs["iterations_final"].where(runs["schedule"] == "fixed", 0),
    )
    keys = ["_physics", "_reduced", "case", "_schedule", "_level", "arm"]
    for _, group in order.groupby(keys, dropna=False):
        yield Group(group.iloc[0], group, finished(group))


def spread(statistic: Statistic, scale: int, digits: int) -> str:
    """Return mean ± std, the mean alone of one run."""
    if not statistic.runs:
        return "diverged" if statistic.diverged else EMPTY
    mean = f"{scale * statistic.mean:.{digits}f}"
    return mean if statistic.std is None else f"{mean} ± {scale * statistic.std:.{digits}f}"


def interval(statistic: Statistic, scale: int, digits: int) -> str:
    """Return the 95 % interval, empty of one run."""
    if statistic.low is None or statistic.high is None:
        return ""
    return f" ({scale * statistic.low:.{digits}f} to {scale * statistic.high:.{digits}f})"


def change(statistic: Statistic) -> str:
    """Return a relative difference in percent, with its 95 % interval."""
    if not statistic.runs:
        return EMPTY
    return f"{100 * statistic.mean:+.1f}" + interval(statistic, 100, 1)


def printed(paper: Paper, claim: str, group: Group | None = None) -> str:
    """Return the paper's number of a claim without its unit; empty if there is none or `group` is a reduced problem."""
    if claim not in paper or (group is not None and group.first["scale"] != "full"):
        return EMPTY
    numbers = [x for x in (paper[claim].paper, paper[claim].spread) if x is not None]
    return " ± ".join(f"{x:g}" for x in numbers)


def case_of(group: Group, runs: pd.DataFrame, records: Records) -> Selection:
    """Return the runs of a group's case as a selection."""
    return Selection(runs[runs["case"] == group.first["case"]], records)


def seeds_note(runs: pd.DataFrame) -> list[str]:
    """Return a note on single seeds and on diverged runs, if there are any."""
    notes = []
    counts = runs.groupby(["case", "arm"])["seed"].nunique()
    if (counts == 1).any():
        notes.append("A number without ± is of one seed.")
    lost = diverged(runs)
    if lost:
        notes.append(f"{lost} runs diverged: they are counted, and in no mean.")
    if (runs["scale"] != "full").any():
        notes.append(
            "Reduced problems (scale=small) are not the paper's and are compared with none of its numbers."
        )
    return notes
