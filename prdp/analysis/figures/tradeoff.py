"""Accuracy over iterations saved: PRDP and every fixed K."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from prdp.analysis.comparison import finished
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, NothingToDraw
from prdp.analysis.records import Records
from prdp.analysis.statistics import describe
from prdp.analysis.tables.cells import Group, groups, runs_of
from prdp.analysis.tables.table import NothingToShow

EXPERIMENTS = ("fig_4", "fig_6", "fig_8", "fig_10", "table_1", FAST)
_COLUMNS = 3


class _PlainLogFormatter(LogFormatter):
    """Labels at Matplotlib's places, as 0.6 instead of 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


@style.styled
def tradeoff(records: Records) -> Figure:
    """Draw the final error over the iterations saved, one panel per problem.

    Raises:
        NothingToDraw: no problem has both PRDP and converged runs.
    """
    cases = list(_cases(records))
    if not cases:
        raise NothingToDraw(f"no problem of {', '.join(EXPERIMENTS)} has both PRDP and converged runs")
    rows = -(-len(cases) // _COLUMNS)
    columns = min(len(cases), _COLUMNS)
    figure = style.canvas(style.WIDTH * columns, 2.8 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, case in zip(axes, cases, strict=False):
        _panel(ax, case)
    for ax in axes[len(cases) :]:
        ax.set_axis_off()
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


def _panel(ax: Axes, case: pd.DataFrame) -> None:
    converged = case.loc[case["is_converged"], "val_error_final"].mean()
    case = case.assign(saved=100 * case["savings"], relative=case["val_error_final"] / converged)
    arms = [g for g in groups(case) if g.first["schedule"] in ("fixed", "prdp")]
    for arm in arms:
        _point(ax, arm)
    ax.axhline(1, color=style.CONVERGED, linewidth=0.6, linestyle="--", zorder=0)
    ax.set(yscale="log", xlim=(-6, 106), xlabel="iterations saved, %", ylabel="error / converged error")
    ax.margins(y=0.15)
    ax.yaxis.set_major_formatter(_PlainLogFormatter())
    ax.yaxis.set_minor_formatter(_PlainLogFormatter(minor_thresholds=(1, 0.4)))
    ax.set_title(arms[0].name, pad=4)


def _point(ax: Axes, arm: Group) -> None:
    saved, error = (describe(arm.done[column]) for column in ("saved", "relative"))
    refined = arm.first["schedule"] == "prdp"
    level, converged = (int(arm.first[c]) for c in ("iterations_final", "converged_iterations"))
    colour = style.PRDP if refined else style.level_colour(level, converged)
    if error.std:
        # On a logarithmic axis the bar may not reach zero.
        bar = [[min(error.std, 0.9 * error.mean)], [error.std]]
        ax.errorbar(saved.mean, error.mean, yerr=bar, color=colour, linewidth=0.8, capsize=2)
    if refined:
        ax.plot(arm.done["saved"], arm.done["relative"], "D", color=colour, markersize=2.5, alpha=0.4)
    look: Any = {"markersize": 6 if refined else 4.5, "markeredgecolor": "black", "markeredgewidth": 0.4}
    ax.plot(saved.mean, error.mean, "D" if refined else "o", color=colour, zorder=4 if refined else 3, **look)
    label = "PRDP" if refined else str(level)
    ax.annotate(
        label,
        (saved.mean, error.mean),
        xytext=(5, -9) if refined else (-4, 3),
        textcoords="offset points",
        ha="left" if refined else "right",
        size=6.5,
        color=colour if refined else "black",
        weight="bold" if refined else "normal",
    )
