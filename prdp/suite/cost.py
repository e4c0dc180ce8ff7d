"""Estimates of the duration of jobs, from recorded runs of the same kind."""

import functools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from prdp.analysis.records import flatten
from prdp.suite.plan import Job

# Runs that agree in these keys take about the same time per epoch. The first kind with a recorded run is used; each has
# some keys of the first.
_SIZES = ("physics", "scale", "physics.points", "model.depth", "model.blocks")
_KINDS = (
    (*_SIZES, "model.width", "model.channels", "schedule", "schedule.iterations"),
    (*_SIZES, "model.width", "model.channels", "schedule"),
    (*_SIZES, "model.width", "model.channels"),
    _SIZES,
)
_SECONDS = ["seconds_train", "seconds_validate", "seconds_compile"]


def estimate(jobs: Sequence[Job], summaries: pd.DataFrame) -> list[float | None]:
    """Return the estimated seconds per job: the median of recorded runs of its kind, or `None` if there are none."""
    if summaries.empty:
        return [None] * len(jobs)
    per_epoch = summaries[_SECONDS].sum(axis="columns") / summaries["epochs"].clip(lower=1)

    @functools.cache
    def seconds_per_epoch(values: tuple[Any, ...]) -> float | None:
        """Return the median of the first kind that has runs; `values` are those of the most particular kind."""
        of = dict(zip(_KINDS[0], values, strict=True))
        for kind in _KINDS:
            alike = pd.Series(True, index=summaries.index)
            for key in kind:
                column = summaries.get(key, pd.Series(None, index=alike.index, dtype=object))
                alike &= column.isna() if of[key] is None else column == of[key]
            if alike.any():
                return float(per_epoch[alike].median())
        return None

    estimates = []
    for job in jobs:
        flat = flatten(job.config)
        flat |= {group: flat[f"{group}.name"] for group in ("physics", "schedule")}
        seconds = seconds_per_epoch(tuple(flat.get(key) for key in _KINDS[0]))
        estimates.append(None if seconds is None else seconds * job.config["epochs"])
    return estimates


def duration(seconds: float) -> str:
    """Return a duration in readable form: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
