"""Accuracy over iterations saved: PRDP and every fixed K."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from prdp.analysis.comparison import finished
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, NothingToDraw, interval
from prdp.analysis.figures.labels import Label, label_points
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.tables.cells import Group, groups, runs_of
from prdp.analysis.tables.table import NothingToShow
from prdp.analysis.verdicts import in_seeds

EXPERIMENTS = ("fig_4", "fig_6", "fig_8", "fig_10", "table_1", FAST)
_COLUMNS = 3


class _PlainLogFormatter(LogFormatter):
    """Labels at Matplotlib's places, as 0.6 instead of 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


@style.styled
def tradeoff(records: Records, reference: Reference) -> Figure:
    """Draw the final error over the iterations saved, one panel per problem.

    Raises:
        NothingToDraw: no problem has both PRDP and converged runs.
    """
    cases = list(_cases(records))
    if not cases:
        raise NothingToDraw(f"no problem of {', '.join(EXPERIMENTS)} has both PRDP and converged runs")
    rows = -(-len(cases) // _COLUMNS)
    columns = min(len(cases), _COLUMNS)
    figure = style.canvas(style.WIDTH * columns, 2.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    labelled = [(ax, _panel(ax, case)) for ax, case in zip(axes, cases, strict=False)]
    for ax in axes[len(cases) :]:
        ax.set_axis_off()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax, labels in labelled:
        label_points(ax, labels, curve=[(-6.0, 1.0), (106.0, 1.0)])
    return figure


def _cases(records: Records) -> Iterator[pd.DataFrame]:
    try:
        runs = finished(runs_of(records, *EXPERIMENTS))
    except NothingToShow:
        return
    runs = runs[runs["metric"] == "val_error"]
    whole = runs.groupby("case").filter(
        lambda case: case["is_converged"].any() and (case["schedule"] == "prdp").any()
    )
    # A reduced problem is shown only if the paper's has no runs.
    full = set(whole.loc[whole["scale"] == "full", "physics"])
    whole = whole[(whole["scale"] == "full") | ~whole["physics"].isin(full)]
    cases = {int(group.first["case"]): None for group in groups(whole)} if len(whole) else {}
    yield from (whole[whole["case"] == case] for case in cases)


def _panel(ax: Axes, case: pd.DataFrame) -> list[Label]:
    converged = case.loc[case["is_converged"], "val_error_final"].mean()
    case = case.assign(saved=100 * case["savings"], relative=case["val_error_final"] / converged)
    arms = [g for g in groups(case) if g.first["schedule"] in ("fixed", "prdp")]
    arms.sort(key=lambda g: g.first["schedule"] != "prdp")
    labels = [label for arm in arms for label in _point(ax, arm)]
    ax.axhline(1, color=style.CONVERGED, linewidth=0.6, linestyle="--", zorder=0)
    ax.set(yscale="log", xlim=(-6, 106), xlabel="iterations saved, %", ylabel="error / converged error")
    ax.margins(y=0.15)
    ax.yaxis.set_major_formatter(_PlainLogFormatter())
    ax.yaxis.set_minor_formatter(_PlainLogFormatter(minor_thresholds=(1, 0.4)))
    ax.set_title(f"{arms[0].name}\n{in_seeds(*(len(arm.done) for arm in arms))}", pad=4)
    return labels


def _point(ax: Axes, arm: Group) -> list[Label]:
    """Draw an arm; return its label, and empty ones that keep its bar free."""
    saved, error = (interval(arm.done[column]) for column in ("saved", "relative"))
    refined = arm.first["schedule"] == "prdp"
    level, converged = (int(arm.first[c]) for c in ("iterations_final", "converged_iterations"))
    colour = style.PRDP if refined else style.level_colour(level, converged)
    bars: Any = {"color": colour, "linewidth": 0.8, "capsize": 2}
    if error.low is not None and error.high is not None:
        bars["yerr"] = [[error.mean - error.low], [error.high - error.mean]]
        if refined and saved.low is not None and saved.high is not None:
            bars["xerr"] = [[saved.mean - saved.low], [saved.high - saved.mean]]
        ax.errorbar(saved.mean, error.mean, **bars)
    if refined:
        for seed, x, y in arm.done[["seed", "saved", "relative"]].itertuples(index=False):
            dot = ax.plot(x, y, "D", color=colour, markersize=2.5, alpha=0.4)
            style.hover(dot, f"PRDP, seed {seed}: {x:.1f} % saved, error {y:.2f} times the converged mean")
    look: Any = {"markersize": 6 if refined else 4.5, "markeredgecolor": "black", "markeredgewidth": 0.4}
    mark = ax.plot(saved.mean, error.mean, "D" if refined else "o", color=colour, zorder=4, **look)
    text = "PRDP" if refined else f"K = {level}"
    said = f"{saved.mean:.1f} % saved, error {error.mean:.2f} times the converged, n = {error.runs}"
    style.hover(mark, f"{text}: {said}")
    short = "PRDP" if refined else str(level)
    ends = (error.low or error.mean, error.high or error.mean)
    free = [Label(saved.mean, float(y), "") for y in np.linspace(*ends, 12)]
    return [Label(saved.mean, error.mean, short, style.PRDP if refined else "black", refined), *free]
