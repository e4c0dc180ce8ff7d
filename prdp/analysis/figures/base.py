"""What a figure is, and which runs it is drawn from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from prdp.analysis.records import Records

# Small runs of everything: what a figure shows, labelled as reduced, while its own experiment has no runs.
FAST = "fast"

PHYSICS = {
    "poisson": "Poisson",
    "heat1d": "Heat 1D",
    "heat2d": "Heat 2D",
    "heat3d": "Heat 3D",
    "burgers": "Burgers",
    "navier_stokes": "Navier-Stokes",
}


class NothingToDraw(ValueError):
    """There is no run that this figure could show."""


@dataclass(frozen=True)
class FigureSpec:
    """One figure of the paper.

    Attributes:
        name: as in the paper (`fig_6`), also the name of its files.
        title: what it is about.
        experiments: the presets whose runs it shows.
        draw: all records -> the figure; raises `NothingToDraw` if none of them is of these experiments.
        caption: how to read it.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    draw: Callable[[Records], Figure]
    caption: str


def pick(records: Records, experiments: tuple[str, ...], **values: Any) -> Records:
    """Return the experiments' runs with these values (see `Records.where`); empty tables if there is none.

    Runs of `fast` count only while the other experiments have none, and reduced runs only while those of the paper's
    size lack one of their schedules.
    """
    own = tuple(e for e in experiments if e != FAST)
    found = records.of(*own).where(**values)
    if found.summaries.empty and FAST in experiments:
        found = records.of(FAST).where(**values)
    if found.summaries.empty:
        return found
    reduced = is_reduced(found)
    full = keep(found, ~reduced)
    whole = set(full.summaries["schedule"]) == set(found.summaries["schedule"])
    return full if whole else keep(found, reduced)


def is_reduced(records: Records) -> pd.Series:
    """Return which runs are not of the paper's size."""
    scale = records.summaries.get("scale", pd.Series(None, index=records.summaries.index, dtype=object))
    return scale == "small"


def keep(records: Records, chosen: pd.Series) -> Records:
    """Return the records of the summaries that `chosen` marks."""
    summaries = records.summaries[chosen.astype(bool)]
    histories = records.histories[records.histories["run"].isin(summaries["run"])]
    return Records(summaries, histories, records.jobs)


def converged(records: Records) -> Records:
    """Return the runs of the baseline: a fixed K of K_epsilon."""
    fixed = records.where(schedule="fixed")
    if fixed.summaries.empty:
        return fixed
    return keep(fixed, fixed.summaries["iterations_final"] == fixed.summaries["converged_iterations"])


def finished(records: Records) -> Records:
    """Return the runs that did not diverge."""
    return records.where(status="finished")


def panels(
    records: Records, experiments: tuple[str, ...], physics: tuple[str, ...], **values: Any
) -> dict[str, Records]:
    """Return the runs of each physics that has any.

    Raises:
        NothingToDraw: none has.
    """
    found = {p: pick(records, experiments, physics=p, **values) for p in physics}
    found = {p: runs for p, runs in found.items() if len(runs.summaries)}
    if not found:
        raise NothingToDraw(f"no run of {' or '.join(experiments)}")
    return found


def name_of(records: Records) -> str:
    """Return the name of the physics of some runs, and whether they are reduced."""
    name = PHYSICS[records.summaries["physics"].iloc[0]]
    return f"{name} (reduced)" if is_reduced(records).any() else name


def seeds_of(records: Records) -> str:
    """Return how many seeds there are, in words; with the range where not every schedule has as many."""
    runs = records.summaries
    level = runs["iterations_final"].where(runs["schedule"] == "fixed")
    seeds = runs.groupby([runs["schedule"], level], dropna=False)["seed"].nunique()
    least, most = seeds.min(), seeds.max()
    if least < most:
        return f"{least} to {most} seeds"
    return "1 seed" if most == 1 else f"{most} seeds"
