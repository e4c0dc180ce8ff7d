"""Histories as lines with a band over the seeds, on axes that bound diverged errors."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from prdp.analysis.figures.style import plain_ticks
from prdp.analysis.records import Records

# A logarithmic axis ends at this multiple of the untrained error: runs above it have diverged.
_HEADROOM = 1000.0
# The part of the errors relative to the converged ones that is shown.
_GAP = (0.5, 8.0)


class Band(NamedTuple):
    """A mean over runs and its spread.

    Attributes:
        x: epochs.
        centre: mean over the runs that reached the epoch.
        low: mean less one standard deviation, but not below the lowest run.
        high: mean plus one standard deviation.
        runs: how many there are; with one, `low` and `high` are NaN.
    """

    x: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def table(records: Records, column: str) -> pd.DataFrame:
    """Return a column of the histories: one row per epoch, one column per run. Values that are not finite are NaN."""
    wide = records.histories.pivot(index="epoch", columns="run", values=column)
    return wide.astype(float).replace([np.inf, -np.inf], np.nan)


def band(values: pd.DataFrame) -> Band:
    """Return the mean and the spread over the columns."""
    centre, spread = values.mean(axis=1), values.std(axis=1)
    low = (centre - spread).clip(lower=values.min(axis=1)).where(spread.notna())
    high = centre + spread
    return Band(values.index.to_numpy(), centre.to_numpy(), low.to_numpy(), high.to_numpy(), values.shape[1])


def draw_band(ax: Axes, values: pd.DataFrame, *, opacity: float = 0.18, **line: Any) -> Band:
    """Draw the mean over the columns, and the band if there is more than one column; return both."""
    drawn = band(values)
    ax.plot(drawn.x, drawn.centre, **line)
    if drawn.runs > 1:
        ax.fill_between(
            drawn.x,
            drawn.low,
            drawn.high,
            color=line.get("color"),
            alpha=opacity,
            linewidth=0,
            zorder=line.get("zorder", 2) - 0.1,
        )
    return drawn


def draw_ends(ax: Axes, records: Records, column: str, **marker: Any) -> None:
    """Mark where each diverged run ended."""
    diverged = records.where(status="diverged")
    top = ax.get_ylim()[1]
    for _, history in diverged.histories.groupby("run"):
        last = history[np.isfinite(history[column])].iloc[-1]
        ax.plot(last["epoch"], min(last[column], top), "x", clip_on=False, markersize=5, **marker)


def draw_errors(ax: Axes, parts: Iterable[tuple[Records, dict[str, Any]]]) -> None:
    """Draw the validation error of some runs, each part as a band in its own line, on a logarithmic axis."""
    parts = [(records, line) for records, line in parts if len(records.summaries)]
    tables = [table(records, "val_error") for records, _ in parts]
    for values, (_, line) in zip(tables, parts, strict=True):
        draw_band(ax, values, **line)
    if tables:
        error_axis(ax, tables)
    for records, line in parts:
        draw_ends(ax, records, "val_error", color=line["color"])


def draw_staircases(
    ax: Axes, records: Records, column: str = "iterations", *, linestyle: str = "-", **line: Any
) -> pd.DataFrame:
    """Draw K of every run, thin, and their median, thick; return K, one column per run.

    The K of a row is that of the epoch that ends there.
    """
    levels = table(records, column)
    if levels.shape[1] > 1:
        for run in levels:
            ax.step(levels.index, levels[run], where="pre", linewidth=0.6, alpha=0.45, **_plain(line))
    # The lower median is a level of some run.
    median = levels.quantile(0.5, axis=1, interpolation="lower")
    ax.step(levels.index, median, where="pre", linewidth=1.6, linestyle=linestyle, zorder=3, **line)
    return levels


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in line.items() if k != "label"}


def error_axis(ax: Axes, drawn: Iterable[pd.DataFrame]) -> None:
    """Make y logarithmic with limits that bound diverged errors, and say where it is cut off if it is."""
    errors = pd.concat(list(drawn), axis=1)
    known = errors.to_numpy()
    known = known[np.isfinite(known) & (known > 0)]
    if not known.size:
        return
    untrained = np.nanmedian(errors.iloc[0].to_numpy())
    highest, ceiling = known.max(), _HEADROOM * max(untrained, known.min())
    ax.set_yscale("log")
    ax.set_ylim(known.min() / 1.4, min(highest, ceiling) * 1.4)
    if highest > ceiling:
        text = f"axis cut at {_HEADROOM:,.0f} times the untrained\nerror; the largest is {highest:.0e}"
        look: Any = {"ha": "right", "va": "top", "size": 6.5, "style": "italic"}
        ax.text(0.98, 0.96, text.replace("e+0", "e").replace("e+", "e"), transform=ax.transAxes, **look)


def draw_gap(ax: Axes, parts: Iterable[tuple[Records, dict[str, Any]]], baseline: Records) -> None:
    """Draw the mean error of each part divided by the mean error of the baseline, on an axis of one decade."""
    if baseline.summaries.empty:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no converged run", ha="center", va="center", transform=ax.transAxes)
        return
    base = table(baseline, "val_error").mean(axis=1)
    for records, line in parts:
        if len(records.summaries):
            ratio = table(records, "val_error").mean(axis=1) / base
            ax.plot(ratio.index, ratio, **{k: v for k, v in line.items() if k != "label"})
    ax.set(yscale="log", ylim=_GAP)
    plain_ticks(ax.yaxis)
