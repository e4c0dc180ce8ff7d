"""The specification of a figure, and the choice of its runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from prdp.analysis.problems import is_inverse, place, title
from prdp.analysis.records import Records

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
        draw: all records -> the figure; raises `NothingToDraw` without a run of these experiments.
        caption: how to read it.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    draw: Callable[[Records], Figure]
    caption: str


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
    runs = records.summaries
    level = runs["iterations_final"].where(runs["schedule"] == "fixed")
    seeds = runs.groupby([runs["schedule"], level], dropna=False)["seed"].nunique()
    least, most = seeds.min(), seeds.max()
    if least < most:
        return f"{least} to {most} seeds"
    return "1 seed" if most == 1 else f"{most} seeds"
