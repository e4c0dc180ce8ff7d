"""Statistics of arms as the text of table cells."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from prdp.analysis.comparison import diverged, finished, tidy
from prdp.analysis.problems import is_inverse, place, title
from prdp.analysis.quantities import excess
from prdp.analysis.records import OWN, Records
from prdp.analysis.reference import Reference
from prdp.analysis.statistics import Statistic, describe
from prdp.analysis.tables.table import NothingToShow, Table

EMPTY = "-"


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


# Makes a cell of a group.
Column = Callable[[Group], str]


def percent(column: str) -> Column:
    """Return the column of a share in percent, mean ± std."""
    return lambda group: spread(group.describe(column), 100, 1)


def number(column: str) -> Column:
    """Return the column of a number, mean ± std."""
    return lambda group: spread(group.describe(column), 1, 1)


def error(column: str = "val_error_final") -> Column:
    """Return the column of an error x1e-2, mean ± std."""
    return lambda group: spread(group.describe(column), 100, 2)


def extent(column: str, scale: int = 1, digits: int = 0) -> Column:
    """Return the column of the smallest and the largest value."""

    def cell(group: Group) -> str:
        if group.done.empty:
            return EMPTY
        low, high = (f"{scale * x:.{digits}f}" for x in (group.done[column].min(), group.done[column].max()))
        return low if low == high and not digits else f"{low} to {high}"

    return cell


HEAD: dict[str, Column] = {
    "problem": lambda group: group.name,
    "schedule": lambda group: group.first["arm"],
    "seeds": lambda group: group.seeds,
}
PARTS = {
    "IC %": percent("savings_incomplete_convergence"),
    "PR %": percent("savings_progressive_refinement"),
}
FINAL: dict[str, Column] = {
    "eq. 56": error(),
    "median": lambda group: median(describe(group.done["val_error_final"], interval_of="median")),
}


def table(title: str, runs: pd.DataFrame, columns: Mapping[str, Column], notes: list[str]) -> Table:
    """Return a table with a row for each arm of each case.

    Raises:
        NothingToShow: there is no run.
    """
    if runs.empty:
        raise NothingToShow(f"no run of {title}")
    rows = [{header: cell(group) for header, cell in columns.items()} for group in groups(runs)]
    return Table(title, pd.DataFrame(rows), [*notes, *seeds_note(runs)])


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


def printed(reference: Reference, claim: str, group: Group | None = None) -> str:
    """Return the paper's number of a claim without its unit.

    It is empty without one, and for reduced problems and schedules that the paper does not have.
    """
    known = group is None or (
        group.first["scale"] == "full" and group.first["schedule"] in ("prdp", "fixed", "linear")
    )
    if claim not in reference.paper or not known:
        return EMPTY
    found = reference.paper[claim]
    numbers = [x for x in (found.paper, found.spread) if x is not None]
    return " ± ".join(f"{x:g}" for x in numbers)


def against(group: Group, others: pd.DataFrame) -> str:
    """Return the excess of a group's error over that of others of its case."""
    return change(excess(group.runs, others[others["case"] == group.first["case"]]))


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
