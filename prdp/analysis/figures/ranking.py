"""Every rival of PRDP in rows: what it costs, and the error that it ends with."""

import math
import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prdp.analysis.figures import style
from prdp.analysis.figures.rivals import COSTS, LOOKS, costed, is_refined, kinds, title
from prdp.analysis.quantities import COMMON_ERROR
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.rival_names import CONVERGED, PRDP
from prdp.analysis.rivals import Comparison, Rival, pareto_front
from prdp.analysis.statistics import Statistic

# Inches: of a row, and of what a panel needs beside its rows.
_ROW, _FRAME = 0.15, 1.0
_WIDTH = 9.0
# Errors above this multiple of the converged one are written at the edge.
_CUT = 4.0


@style.styled
def ranking(records: Records, reference: Reference) -> Figure:
    """Draw each problem: the cost of its rivals, cheapest first, and beside it their errors.

    Raises:
        NothingToDraw: no problem has runs.
    """
    pairs = costed(records)
    problems = [p for p, cost in pairs if cost == "matvecs"]
    timed = {p.title for p, cost in pairs if cost == "seconds"}
    split = [_split(p) for p in problems]
    heights = [_ROW * len(order) + _FRAME for order, _ in split]
    figure = style.canvas(_WIDTH, sum(heights) + 0.3)
    axes = figure.subplots(len(problems), 3 if timed else 2, squeeze=False, height_ratios=heights)
    for row, problem, (order, lost) in zip(axes, problems, split, strict=True):
        _costs(row[0], order, problem, "matvecs")
        _names(row[0], order, problem)
        row[0].set_xlabel("\n".join([COSTS["matvecs"], *([] if problem.to_common_error else _folded(lost))]))
        row[0].set_title(_headline(problem), pad=5, loc="left")
        if problem.to_common_error:
            row[1].set_axis_off()
            said = "\n".join(_folded(lost))
            row[1].text(0.02, 1, said, transform=row[1].transAxes, va="top", size=7, linespacing=1.5)
        else:
            _errors(row[1], order, problem)
        if timed:
            _seconds(row[2], order if problem.title in timed else [])
    figure.legend(handles=kinds(problems), loc="outside lower center", ncols=7)
    return figure


def _split(problem: Comparison) -> tuple[list[Rival], list[Rival]]:
    """Return the rivals that have a cost, cheapest first, and the others."""
    usable = [r for r in problem.rivals if r.attained is not None and r.costs["matvecs"].runs]
    usable.sort(key=lambda r: (r.cost("matvecs"), r.name))
    return usable, [r for r in problem.rivals if r not in usable]


def _folded(lost: list[Rival]) -> list[str]:
    """Return the rivals without a cost as lines of text."""
    diverged = [r.name for r in lost if r.diverged]
    missed = [f"{r.name} ({r.error.median:.2g})" for r in lost if not r.diverged and r.attained is None]
    withdrawn = [r.name for r in lost if not r.diverged and r.attained is not None]
    said = (
        ("diverged", diverged),
        (f"not reached by {len(missed)} (they end at)", missed),
        ("products withdrawn", withdrawn),
    )
    return [
        line for name, found in said if found for line in textwrap.wrap(f"{name}: {', '.join(found)}", 60)
    ]


def _headline(problem: Comparison) -> str:
    cost = f": cost of an error of {COMMON_ERROR:.0e}" if problem.to_common_error else ""
    return f"{title(problem)}{cost}".replace("e-0", "e-")


def _names(ax: Axes, order: list[Rival], problem: Comparison) -> None:
    best = pareto_front(order, "matvecs")
    ax.set_yticks(range(len(order)), [("\u2605 " if r in best else "") + r.name for r in order], size=7)
    ax.tick_params(axis="y", length=0)
    for tick, rival in zip(ax.get_yticklabels(), order, strict=True):
        tick.set_color(LOOKS[rival.kind][0])
        tick.set_fontweight("bold" if rival.kind in (CONVERGED, PRDP) else "normal")


def _costs(ax: Axes, order: list[Rival], problem: Comparison, cost: str) -> None:
    spent = [r.cost(cost) for r in order if not math.isnan(r.cost(cost))]
    low, high = (min(spent) / 1.5, max(spent) * 1.5) if spent else (1.0, 10.0)
    for y, rival in enumerate(order):
        if not math.isnan(rival.cost(cost)):
            ax.plot([low, rival.cost(cost)], [y, y], color=LOOKS[rival.kind][0], linewidth=0.6, alpha=0.4)
            _mark(ax, y, rival, rival.costs[cost], f"{rival.cost(cost):,.3g} {cost}")
    base = problem.converged
    if base is not None and not math.isnan(base.cost(cost)):
        ax.axvline(base.cost(cost), color=style.CONVERGED, linewidth=0.6, linestyle="--", zorder=0)
    ax.set(xscale="log", xlim=(low, high), ylim=(len(order) - 0.4, -0.6), xlabel=COSTS[cost])
    style.plain_ticks(ax.xaxis)


def _errors(ax: Axes, order: list[Rival], problem: Comparison) -> None:
    if not order:
        ax.set_axis_off()
        return
    base = problem.converged if problem.converged in order else min(order, key=lambda r: r.error.median)
    limit = _CUT * base.error.median
    for y, rival in enumerate(order):
        if rival.error.median <= limit:
            _mark(ax, y, rival, rival.error, f"error {rival.error.median:.3g}")
        else:
            look: Any = {"ha": "right", "va": "center", "size": 6.5, "color": LOOKS[rival.kind][0]}
            ax.text(0.99, y, f"{rival.error.median:.2g} \u2192", transform=ax.get_yaxis_transform(), **look)
    if base.error.low is not None and base.error.high is not None:
        ax.axvspan(base.error.low, base.error.high, color=style.CONVERGED, alpha=0.1, linewidth=0, zorder=0)
    ax.axvline(base.error.median, color=style.CONVERGED, linewidth=0.6, linestyle="--", zorder=0)
    highs = [r.error.high or r.error.median for r in order if r.error.median <= limit]
    lows = [r.error.low or r.error.median for r in order if r.error.median <= limit]
    ax.set(xscale="log", xlim=(min(lows) / 1.1, max(highs) * 1.1), ylim=(len(order) - 0.4, -0.6), yticks=[])
    ax.set_xlabel("final validation error, median")
    style.plain_ticks(ax.xaxis)


def _seconds(ax: Axes, order: list[Rival]) -> None:
    if not order:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "not timed alone", ha="center", va="center", transform=ax.transAxes)
        return
    for y, rival in enumerate(order):
        spent = rival.costs["seconds"]
        if spent.runs:
            _mark(ax, y, rival, spent, f"{spent.median:.3g} seconds")
    ax.set(xscale="log", ylim=(len(order) - 0.4, -0.6), yticks=[], xlabel=COSTS["seconds"])
    style.plain_ticks(ax.xaxis)


def _mark(ax: Axes, y: int, rival: Rival, value: Statistic, said: str) -> None:
    colour, marker = LOOKS[rival.kind]
    if value.low is not None and value.high is not None:
        ax.plot([value.low, value.high], [y, y], color=colour, linewidth=1.0, zorder=2)
    size = 6 if rival.kind in (CONVERGED, PRDP) else 4.5
    fill = "white" if is_refined(rival) else colour
    mark = ax.plot(
        value.median, y, marker, markerfacecolor=fill, markeredgecolor=colour, markersize=size, zorder=3
    )
    style.hover(mark, f"{rival.name}: {said}, n = {value.runs}")
