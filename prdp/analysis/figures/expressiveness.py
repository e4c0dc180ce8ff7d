"""Error and savings over the size of the network (figure 25)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import converged, name_of, panels, seeds_of
from prdp.analysis.quantities import parameters
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.statistics import Statistic, describe

# The paper reports an error proportional to n^(-1/5).
SLOPE = -1 / 5
# Kinds of one size stand beside each other: their sizes are multiplied by these.
_ASIDE = (0.93, 1.075)


def by_size(summaries: pd.DataFrame, column: str) -> dict[int, tuple[pd.Series, Statistic]]:
    """Return a column by the number of parameters: its values by seed, and the median with its 95 % interval."""
    found = {}
    for _, runs in summaries.groupby("model.width"):
        values = runs.set_index("seed")[column]
        found[parameters(runs)] = values, describe(values, interval_of="median")
    return dict(sorted(found.items()))


@style.styled
def fig_25(records: Records, reference: Reference) -> Figure:
    """Draw the final error and PRDP's savings of Heat 1D networks of several sizes."""
    runs = panels(records, ("fig_25",), ("heat1d",), status="finished")["heat1d"]
    kinds = (
        (converged(runs), "converged", style.CONVERGED, "s"),
        (runs.where(schedule="prdp"), "PRDP", style.PRDP, "o"),
    )
    figure = style.canvas(style.WIDTH * 2.2, 3.0)
    error, saved = figure.subplots(1, 2)
    error.set(xscale="log", yscale="log", ylabel="final validation error")
    for (part, name, colour, marker), aside in zip(kinds, _ASIDE, strict=True):
        if len(part.summaries):
            sizes = by_size(part.summaries, "val_error_final")
            _points(error, sizes, name, colour, marker, aside)
    base = kinds[0][0] if len(kinds[0][0].summaries) else runs
    _slope(error, by_size(base.summaries, "val_error_final"))
    error.legend(loc="upper right")
    refined = kinds[1][0].summaries
    _name_stuck(error, refined)
    saved.set(xscale="log", ylim=(0, 100), ylabel="iterations saved by PRDP (%)")
    if len(refined):
        columns = (
            ("savings", "total", style.PRDP, "o", 1.0),
            ("savings_incomplete_convergence", "IC", "#a06cbf", "^", _ASIDE[0]),
            ("savings_progressive_refinement", "PR", style.OTHER, "v", _ASIDE[1]),
        )
        for column, name, colour, marker, aside in columns:
            sizes = by_size(refined.assign(**{column: 100 * refined[column]}), column)
            _points(saved, sizes, name, colour, marker, aside)
        saved.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    for ax in (error, saved):
        _size_axis(ax, runs.summaries)
    error.set_title(f"{name_of(runs)}, {seeds_of(runs)}", pad=4)
    return figure


def _points(
    ax: Axes,
    sizes: dict[int, tuple[pd.Series, Statistic]],
    name: str,
    colour: str,
    marker: str,
    aside: float,
) -> None:
    for size, (values, _) in sizes.items():
        for seed, value in values.items():
            dot = ax.plot(size * aside, value, marker, color=colour, markersize=2.2, alpha=0.45, zorder=2)
            style.hover(dot, f"{name}, {size:,} parameters, seed {seed}: {value:.3g}")
    x = [size * aside for size in sizes]
    found = [statistic for _, statistic in sizes.values()]
    middle = np.array([s.median for s in found])
    low = middle - [s.median if s.low is None else s.low for s in found]
    high = np.array([s.median if s.high is None else s.high for s in found]) - middle
    look: Any = {"color": colour, "marker": marker, "markersize": 4.5, "capsize": 2, "linewidth": 1.0}
    ax.errorbar(x, middle, yerr=[low, high], label=name, zorder=3, **look)


def _name_stuck(ax: Axes, refined: pd.DataFrame) -> None:
    """Name the seeds whose error is more than five times the median of their size, and where their K ended."""
    if refined.empty:
        return
    median = refined.groupby("model.width")["val_error_final"].transform("median")
    for _, run in refined[refined["val_error_final"] > 5 * median].iterrows():
        x = parameters(refined[refined["model.width"] == run["model.width"]]) * _ASIDE[1]
        text = f"seed {run['seed']} ends at K = {int(run['iterations_final'])}"
        look: Any = {"xytext": (-6, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        ax.annotate(text, (x, run["val_error_final"]), size=6.5, color=style.PRDP, **look)


def _slope(ax: Axes, sizes: dict[int, tuple[pd.Series, Statistic]]) -> None:
    n, middle = np.array(list(sizes), dtype=float), np.array([s.median for _, s in sizes.values()])
    through = np.exp(np.mean(np.log(middle)) - SLOPE * np.mean(np.log(n)))
    ends = np.array([n.min(), n.max()])
    ax.plot(
        ends, through * ends**SLOPE, color=style.NEUTRAL, linewidth=0.9, linestyle="--", label="$n^{-1/5}$"
    )


def _size_axis(ax: Axes, summaries: pd.DataFrame) -> None:
    widths = {parameters(runs): int(float(str(width))) for width, runs in summaries.groupby("model.width")}
    ax.xaxis.set_major_locator(FixedLocator(list(widths)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{size:,}\nwidth {width}" for size, width in widths.items()])
    ax.set_xlim(min(widths) / 1.6, max(widths) * 1.6)
    ax.set_xlabel("parameters of the network")
