"""Statistics of arms as the text of table cells."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from prdp.analysis.claims import Claim
from prdp.analysis.comparison import diverged, finished, tidy
from prdp.analysis.problems import is_inverse, place, title
from prdp.analysis.records import OWN, Records
from prdp.analysis.statistics import Statistic, describe
from prdp.analysis.tables.table import NothingToShow

EMPTY = "-"
# Claims by id.
Paper = Mapping[str, Claim]


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
        """The problem, its size if that is not the paper's, and the settings in which the case differs from others."""
        name = title(self.first["physics"], reduced=self.first["scale"] != "full")
        return f"{name} ({self.first['variant']})" if self.first["variant"] else name

    @property
    def seeds(self) -> str:
        """The number of runs, and how many of them diverged."""
        lost = diverged(self.runs)
        return f"{len(self.runs)}" if not lost else f"{len(self.runs)}, {lost} diverged"

    def describe(self, column: str) -> Statistic:
        """Return a column over the seeds."""
        return describe(self.done.get(column, ()), diverged=diverged(self.runs))

    def median(self, column: str = "val_error_final") -> str:
        """Return a final error x1e-2, median and its 95 % interval."""
        return median(describe(self.done[column], interval_of="median"))

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


def runs_of(records: Records, *experiments: str, inverse: bool = False) -> pd.DataFrame:
    """Return the runs of some experiments: those of networks, or those of inverse problems.

    Raises:
        NothingToShow: there is none.
    """
    runs = tidy(records.of(*experiments))
    runs = runs[is_inverse(runs["physics"]) == inverse] if len(runs) else runs
    if runs.empty:
        raise NothingToShow(f"no run of {', '.join(e for e in experiments if e != OWN)}")
    return runs


def groups(runs: pd.DataFrame) -> Iterator[Group]:
    """Yield the arms of the cases: the paper's order of physics, its size first, baseline before schedules."""
    order = runs.assign(
        _physics=runs["physics"].map(place),
        _reduced=runs["scale"] != "full",
        _schedule=runs["schedule"] != "fixed",
        # The runs of a schedule end at different levels.
        _level=runs["iterations_final"].where(runs["schedule"] == "fixed", 0),
    )
    keys = ["_physics", "_reduced", "case", "_schedule", "_level", "arm"]
    for _, group in order.groupby(keys, dropna=False):
        yield Group(group.iloc[0], group, finished(group))


def spread(statistic: Statistic, scale: int, digits: int) -> str:
    """Return mean ± std; of one run the value alone."""
    if not statistic.runs:
        return "diverged" if statistic.diverged else EMPTY
    mean = f"{scale * statistic.mean:.{digits}f}"
    return mean if statistic.std is None else f"{mean} ± {scale * statistic.std:.{digits}f}"


def interval(statistic: Statistic, scale: int, digits: int) -> str:
    """Return the 95 % interval; empty for one run."""
    if statistic.low is None or statistic.high is None:
        return ""
    return f" ({scale * statistic.low:.{digits}f} to {scale * statistic.high:.{digits}f})"


def median(statistic: Statistic) -> str:
    """Return the median of an error x1e-2 with its 95 % interval."""
    return f"{100 * statistic.median:.2f}{interval(statistic, 100, 2)}" if statistic.runs else EMPTY


def change(statistic: Statistic) -> str:
    """Return a relative difference in percent, with its 95 % interval."""
    if not statistic.runs:
        return EMPTY
    return f"{100 * statistic.mean:+.1f}" + interval(statistic, 100, 1)


def printed(paper: Paper, claim: str, group: Group | None = None) -> str:
    """Return the paper's number of a claim without its unit; empty without one or if `group` is a reduced problem."""
    if claim not in paper or (group is not None and group.first["scale"] != "full"):
        return EMPTY
    numbers = [x for x in (paper[claim].paper, paper[claim].spread) if x is not None]
    return " ± ".join(f"{x:g}" for x in numbers)


def case_of(group: Group, runs: pd.DataFrame) -> pd.DataFrame:
    """Return all runs of a group's case."""
    return runs[runs["case"] == group.first["case"]]


def seeds_note(runs: pd.DataFrame) -> list[str]:
    """Return a note on single seeds and on diverged runs, if there are any."""
    notes = []
    counts = runs.groupby(["case", "arm"])["seed"].nunique()
    if (counts == 1).any():
        notes.append("A number without ± comes from one seed.")
    lost = diverged(runs)
    if lost:
        notes.append(f"Diverged runs: {lost}. They are counted as seeds but enter no mean.")
    if (runs["scale"] != "full").any():
        notes.append(
            "Reduced problems (scale=small) are not the paper's and are not compared with its numbers."
        )
    return notes
