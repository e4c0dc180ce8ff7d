"""The specification of a figure, and the choice of its runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from prdp.analysis.problems import is_inverse, place, title
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.statistics import Statistic, describe
from prdp.analysis.verdicts import in_seeds

# Small runs of everything. A figure shows them, labelled as reduced, while its own experiment has no runs.
FAST = "fast"


class NothingToDraw(ValueError):
    """There is no run that the figure could show."""


@dataclass(frozen=True)
class FigureSpec:
    """One figure.

    Attributes:
        name: its number in the paper (`fig_6`), also the name of its files.
        title: its subject.
        experiments: the experiments whose runs it shows.
        function: all records and the reference -> the figure.
        caption: how to read it.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    function: Callable[[Records, Reference], Figure]
    caption: str

    def draw(self, records: Records, reference: Reference | None = None) -> Figure:
        """Return the figure.

        Raises:
            NothingToDraw: there is no run of these experiments.
        """
        return self.function(records, reference or Reference())


def pick(records: Records, experiments: tuple[str, ...], **values: Any) -> Records:
    """Return the runs of experiments with these values (see `Records.where`); empty tables if there is none.

    Runs of `fast` are used only if the other experiments have none, reduced runs only if runs of the paper's size
    lack one of their schedules.
    """
    own = tuple(e for e in experiments if e != FAST)
    found = records.of(*own).where(**values)
    if found.summaries.empty and FAST in experiments:
        found = records.of(FAST).where(**values)
    if found.summaries.empty:
        return found
    reduced = is_reduced(found)
    full = found.keep(~reduced)
    whole = set(full.summaries["schedule"]) == set(found.summaries["schedule"])
    return full if whole else found.keep(reduced)


def is_reduced(records: Records) -> pd.Series:
    """Return which runs are not of the paper's size."""
    scale = records.summaries.get("scale", pd.Series(None, index=records.summaries.index, dtype=object))
    return scale == "small"


def converged(records: Records) -> Records:
    """Return the runs of the baseline: fixed K = K_epsilon."""
    fixed = records.where(schedule="fixed")
    if fixed.summaries.empty:
        return fixed
    return fixed.keep(fixed.summaries["iterations_final"] == fixed.summaries["converged_iterations"])


def panels(
    records: Records, experiments: tuple[str, ...], physics: tuple[str, ...] | None = None, **values: Any
) -> dict[str, Records]:
    """Return the runs of each physics that has any, in the order of the problems.

    Args:
        records: all that there are.
        experiments: the experiments to show.
        physics: the physics to show; by default all that train a network.
        values: see `Records.where`.

    Raises:
        NothingToDraw: none has any run.
    """
    if physics is None:
        known = records.of(*experiments).summaries.get("physics", pd.Series(dtype=object))
        physics = tuple(sorted(known[~is_inverse(known)].unique(), key=place))
    found = {p: pick(records, experiments, physics=p, **values) for p in physics}
    found = {p: runs for p, runs in found.items() if len(runs.summaries)}
    if not found:
        raise NothingToDraw(f"no run of {' or '.join(experiments)}")
    return found


def name_of(records: Records) -> str:
    """Return the title of the physics of some runs, and whether they are reduced."""
    return title(records.summaries["physics"].iloc[0], reduced=bool(is_reduced(records).any()))


def seeds_of(records: Records) -> str:
    """Return the number of seeds in words, as a range if schedules differ."""
    return in_seeds(*map(len, _seeds(records)))


def of_common_seeds(records: Records) -> Records:
    """Return the runs of the seeds that every schedule and every fixed K has; all runs if there is no such seed."""
    common = reduce(set.intersection, _seeds(records))
    return records.keep(records.summaries["seed"].isin(common)) if common else records


def _seeds(records: Records) -> list[set[int]]:
    """Return the seeds of each schedule, those of each fixed K apart."""
    runs = records.summaries
    level = runs["iterations_final"].where(runs["schedule"] == "fixed")
    return [set(arm["seed"]) for _, arm in runs.groupby([runs["schedule"], level], dropna=False)]


def percent(share: Statistic, sign: str = "+") -> str:
    """Return a mean share in percent with its 95 % interval, or with the number of seeds if there is one only.

    Args:
        share: a statistic with the interval of its mean.
        sign: `+` to print the sign of positive numbers too, `-` for negative numbers only.
    """
    values = [share.mean, *(v for v in (share.low, share.high) if v is not None)]
    texts = [f"{100 * v:{sign}.0f}".replace("-", "\u2212").replace("\u22120", "0") for v in values]
    return f"{texts[0]} % ({texts[1]} to {texts[2]})" if len(texts) == 3 else f"{texts[0]} % (1 seed)"


def interval(values: pd.Series) -> Statistic:
    """Return the statistics over seeds with the 95 % interval of the mean."""
    return describe(values)
