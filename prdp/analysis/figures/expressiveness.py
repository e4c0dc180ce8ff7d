"""Error and savings over the size of the network (figure 25)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prdp.analysis.figures import style
from prdp.analysis.figures.base import converged, name_of, panels, seeds_of
from prdp.analysis.quantities import parameters
from prdp.analysis.records import Records

# The paper reports an error proportional to n^(-1/5).
SLOPE = -1 / 5


def by_size(summaries: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return mean and standard deviation (0 for one run) of a column by the number of parameters."""
    sizes = {width: parameters(runs) for width, runs in summaries.groupby("model.width")}
    grouped = summaries.groupby(summaries["model.width"].map(sizes))[column].agg(["mean", "std"])
    return grouped.fillna({"std": 0.0})


@style.styled
def fig_25(records: Records) -> Figure:
    """Draw the final error and PRDP's savings of Heat 1D networks of several sizes."""
    runs = panels(records, ("fig_25",), ("heat1d",), status="finished")["heat1d"]
    kinds = (
        (converged(runs), "converged", style.CONVERGED, "s"),
        (runs.where(schedule="prdp"), "PRDP", style.PRDP, "o"),
    )
    figure = style.canvas(style.WIDTH * 2, 2.7)
    error, saved = figure.subplots(1, 2)
    error.set(xscale="log", yscale="log", xlabel="parameters n", ylabel="final validation error")
    for part, name, colour, marker in kinds:
        if part.summaries.empty:
            continue
        _points(error, by_size(part.summaries, "val_error_final"), name, colour, marker)
    _slope(error, by_size(runs.summaries, "val_error_final")["mean"])
    error.legend(loc="upper right")
    error.set_title(f"{name_of(runs)}, {seeds_of(runs)}", pad=4)
    refined = kinds[1][0].summaries
    if len(refined):
        for column, name, colour, marker in (
            ("savings", "total", style.PRDP, "o"),
            ("savings_incomplete_convergence", "IC", "#a06cbf", "^"),
            ("savings_progressive_refinement", "PR", style.OTHER, "v"),
        ):
            _points(saved, 100 * by_size(refined, column), name, colour, marker)
        saved.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    saved.set(xscale="log", ylim=(0, 100), xlabel="parameters n", ylabel="iterations saved by PRDP (%)")
    return figure


def _points(ax: Axes, means: pd.DataFrame, name: str, colour: str, marker: str) -> None:
    # On a logarithmic axis the bar may not reach zero.
    below = np.minimum(means["std"], 0.9 * means["mean"]) if ax.get_yscale() == "log" else means["std"]
    look: Any = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2, "label": name}
    ax.errorbar(means.index, means["mean"], yerr=[below, means["std"]], **look)


def _slope(ax: Axes, means: pd.Series) -> None:
    n = means.index.to_numpy(dtype=float)
    through = np.exp(np.mean(np.log(means.to_numpy())) - SLOPE * np.mean(np.log(n)))
    ends = np.array([n.min(), n.max()])
    ax.plot(
        ends, through * ends**SLOPE, color=style.NEUTRAL, linewidth=0.9, linestyle="--", label="$n^{-1/5}$"
    )
