"""Validation error by fixed K with PRDP drawn over it, the gap to the converged error, and the K of PRDP beneath."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import (
    FAST,
    Reference,
    converged,
    name_of,
    of_common_seeds,
    panels,
    percent,
    seeds_of,
)
from prdp.analysis.figures.curves import draw_errors, draw_gap, draw_staircases
from prdp.analysis.figures.savings import draw_savings
from prdp.analysis.quantities import excess
from prdp.analysis.records import Records

_HEIGHTS = (2.2, 1.1, 1.0)
_ROWS = ("validation error", "error /\nconverged error", "iterations K")


def fixed_levels(records: Records) -> dict[int, Records]:
    """Return the runs with a constant K, by K."""
    fixed = records.where(schedule="fixed")
    levels = sorted(fixed.summaries["iterations_final"].unique()) if len(fixed.summaries) else []
    return {int(k): fixed.where(iterations_final=k) for k in levels}


def converged_level(records: Records) -> int:
    """Return K_epsilon."""
    return int(records.summaries["converged_iterations"].max())


def lines_of(records: Records, *, prdp: bool = True) -> list[tuple[Records, dict[str, Any]]]:
    """Return the runs of each fixed K, and of PRDP, each with the look of its line."""
    top = converged_level(records)
    parts: list[tuple[Records, dict[str, Any]]] = []
    for level, runs in fixed_levels(records).items():
        look = {"color": style.level_colour(level, top), "linewidth": 1.6 if level == top else 1.0}
        parts.append((runs, look | ({"label": "converged"} if level == top else {})))
    if prdp:
        look = {"color": style.PRDP, "linewidth": 1.5, "zorder": 4, "label": "PRDP"}
        parts.append((records.where(schedule="prdp"), look))
    return parts


def draw_fan(ax: Axes, records: Records, *, prdp: bool = True) -> None:
    """Draw the validation error of every fixed K, and of PRDP."""
    draw_errors(ax, lines_of(records, prdp=prdp))
    levels = list(fixed_levels(records))
    top = style.level_strip(ax, levels, converged_level(records)) if levels else ax
    top.set_title(f"{name_of(records)}, {seeds_of(records)}", pad=4)


def write_excess(ax: Axes, records: Records, *, above: bool = True) -> None:
    """Write by how much PRDP's final error exceeds the converged one, over the seeds that have both."""
    ours, theirs = records.where(schedule="prdp").summaries, converged(records).summaries
    if not len(ours) or not len(theirs):
        return
    found = excess(ours, theirs)
    seeds = f", n = {found.runs}" if found.runs > 1 else ""
    text = f"PRDP ends at {percent(found)}{seeds}" if found.runs else "no PRDP run finished"
    look: Any = {"ha": "right", "size": 6.5, "color": style.PRDP, "weight": "bold", "zorder": 6}
    y, side = (0.98, "top") if above else (0.03, "bottom")
    ax.text(0.99, y, text, transform=ax.transAxes, va=side, **look)


def draw_levels(ax: Axes, records: Records) -> None:
    """Draw K over the epochs of every PRDP run, and K_epsilon as a line."""
    top = converged_level(records)
    refined = records.where(schedule="prdp")
    if len(refined.summaries):
        draw_staircases(ax, refined, color=style.PRDP)
    ax.axhline(top, color=style.CONVERGED, linewidth=1.0, linestyle="--")
    ax.text(
        0.01,
        top * 0.96,
        rf"$K_\epsilon$ = {top}",
        transform=ax.get_yaxis_transform(),
        va="top",
        size=7,
        color=style.CONVERGED,
    )
    ax.set_ylim(0, top * 1.08)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _column(axes: list[Axes], records: Records) -> None:
    error, gap, levels = axes
    runs = of_common_seeds(records)
    draw_fan(error, runs)
    draw_gap(gap, lines_of(runs), converged(runs))
    write_excess(gap, records, above=False)
    draw_levels(levels, runs)
    levels.set_xlabel("epoch")
    levels.set_xlim(0, records.histories["epoch"].max())


def _key(figure: Figure, ax: Axes) -> None:
    handles, names = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=2)


@style.styled
def fig_6(records: Records, reference: Reference) -> Figure:
    """Draw the three heat equations in columns."""
    found = panels(records, ("fig_6", FAST), ("heat1d", "heat2d", "heat3d"))
    figure = style.canvas(style.WIDTH * len(found), 4.9)
    axes = figure.subplots(3, len(found), sharex="col", height_ratios=_HEIGHTS, squeeze=False)
    for column, runs in zip(axes.T, found.values(), strict=True):
        _column(list(column), runs)
    for ax, label in zip(axes[:, 0], _ROWS, strict=True):
        ax.set_ylabel(label)
    figure.align_ylabels(axes[:, 0])
    _key(figure, axes[0, 0])
    return figure


def _with_bars(records: Records, reference: Reference, experiment: str, physics: str) -> Figure:
    runs = panels(records, (experiment, FAST), (physics,))[physics]
    figure = style.canvas(style.WIDTH * 1.9, 4.9)
    names = ("error", "gap", "levels")
    axes = figure.subplot_mosaic(
        [[name, "bars"] for name in names], height_ratios=_HEIGHTS, width_ratios=(1.6, 1)
    )
    column = [axes[name] for name in names]
    for ax, label in zip(column, _ROWS, strict=True):
        ax.set_ylabel(label)
    for ax in column[:-1]:
        ax.sharex(column[-1])
        ax.tick_params(labelbottom=False)
    _column(column, runs)
    figure.align_ylabels(column)
    _key(figure, axes["error"])
    draw_savings(axes["bars"], runs, reference=reference)
    return figure


@style.styled
def fig_8(records: Records, reference: Reference) -> Figure:
    """Draw Burgers: fan, gap, K and savings."""
    return _with_bars(records, reference, "fig_8", "burgers")


@style.styled
def fig_10(records: Records, reference: Reference) -> Figure:
    """Draw Navier-Stokes: fan, gap, K and savings."""
    return _with_bars(records, reference, "fig_10", "navier_stokes")
