"""Error over cost of every rival of PRDP, with the Pareto front."""

import textwrap
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from prdp.analysis.figures import style
from prdp.analysis.figures.base import NothingToDraw
from prdp.analysis.figures.labels import Label, label_points
from prdp.analysis.quantities import COMMON_ERROR
from prdp.analysis.records import Records
from prdp.analysis.rival_names import CONVERGED, MODE, PRDP, SCHEDULE, SOLVER, WARM
from prdp.analysis.rivals import EXPERIMENT, Comparison, Rival, compare, pareto_front

_WIDTH, _HEIGHT, _ROW = 5.2, 4.0, 0.135
# Colours differ in every kind of colour blindness, shapes without colour.
_LOOKS = {
    CONVERGED: (style.CONVERGED, "s"),
    PRDP: (style.PRDP, "D"),
    SCHEDULE: ("#009e73", "^"),
    MODE: (style.OTHER, "o"),
    SOLVER: ("#cc79a7", "v"),
    WARM: ("#8c6d1f", "P"),
}
_COSTS = {
    "matvecs": "matrix-vector products, forward and adjoint",
    "seconds": "seconds, training and validation",
}
# Errors above this multiple of the converged one are drawn at the upper edge: otherwise they squeeze all others.
_CUT = 4.0


@style.styled
def rivals(records: Records) -> Figure:
    """Draw each problem over both costs.

    Raises:
        NothingToDraw: no problem has runs.
    """
    problems = compare(records)
    if not problems:
        raise NothingToDraw(f"no run of {EXPERIMENT}")
    heights = [_ROW * len(p.rivals) + 0.7 if p.to_common_error else _HEIGHT for p in problems]
    figure = style.canvas(2 * _WIDTH, sum(heights) + 0.3)
    axes = figure.subplots(len(problems), 2, squeeze=False, height_ratios=heights)
    labelled = []
    for problem, row in zip(problems, axes, strict=True):
        for ax, cost in zip(row, _COSTS, strict=True):
            if problem.to_common_error:
                _rank(ax, problem, cost)
            else:
                labelled.append((ax, *_scatter(ax, problem, cost)))
    _legend(figure, problems)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax, labels, curve in labelled:
        label_points(ax, labels, curve)
    return figure


def _scatter(ax: Axes, problem: Comparison, cost: str) -> tuple[list[Label], list[tuple[float, float]]]:
    """Draw the rivals of a problem with a network; return their labels by importance, and the Pareto front."""
    drawn = [r for r in problem.rivals if r.error.runs and r.costs[cost].runs]
    lost = [r.name for r in problem.rivals if not r.error.runs]
    ax.set_title(_title(problem), pad=9)
    ax.set(ylabel="final validation error")
    ax.set_xlabel(
        "\n".join([_COSTS[cost], *textwrap.wrap(f"diverged: {', '.join(lost)}" if lost else "", 100)])
    )
    if not drawn:
        return [], []
    limit = _limit(problem, drawn)
    best = pareto_front(drawn, cost)
    corners = _corners(best, cost)
    if corners:
        ax.plot(*zip(*corners, strict=True), color=style.NEUTRAL, linewidth=0.9, zorder=1.5)
    for rival in drawn:
        _point(ax, rival, cost, limit)
    ax.set(xscale="log", yscale="log")
    _limits(ax, drawn, cost, limit)
    order = sorted(drawn, key=lambda r: (r.kind not in (CONVERGED, PRDP), r not in best, r.error.median))
    return [_label(r, cost, limit) for r in order], corners


def _limit(problem: Comparison, drawn: list[Rival]) -> float:
    """Return the error at the upper edge."""
    base = problem.converged if problem.converged in drawn else min(drawn, key=lambda r: r.error.median)
    return 1.15 * max(r.error.median for r in drawn if r.error.median <= _CUT * base.error.median)


def _label(rival: Rival, cost: str, limit: float) -> Label:
    text, error = rival.name, rival.error.median
    if error > limit:
        text += f" ({error:.2g} \u2191)"
    if rival.diverged:
        text += f" ({rival.diverged} diverged)"
    return Label(
        rival.cost(cost), min(error, limit), text, _LOOKS[rival.kind][0], rival.kind in (CONVERGED, PRDP)
    )


def _point(ax: Axes, rival: Rival, cost: str, limit: float) -> None:
    colour, marker = _LOOKS[rival.kind]
    spent, error = rival.costs[cost], rival.error
    if error.median <= limit:
        ax.errorbar(
            spent.median,
            error.median,
            xerr=_bar(spent.low, spent.median, spent.high),
            yerr=_bar(error.low, error.median, error.high),
            color=colour,
            linewidth=0.6,
            alpha=0.35,
            zorder=2,
        )
    telling = rival.kind in (CONVERGED, PRDP)
    ax.plot(
        spent.median,
        min(error.median, limit),
        marker,
        markersize=6.5 if telling else 4.5,
        markerfacecolor="white" if _refined(rival) else colour,
        markeredgecolor="black" if telling else colour,
        markeredgewidth=0.8,
        zorder=4 if telling else 3,
        clip_on=False,
    )


def _refined(rival: Rival) -> bool:
    """Whether it is PRDP in another mode, with another solver or with warm starts."""
    return rival.schedule == "prdp" and rival.kind != PRDP


def _bar(low: float | None, middle: float, high: float | None) -> Any:
    return None if low is None or high is None else [[middle - low], [high - middle]]


def _corners(best: list[Rival], cost: str) -> list[tuple[float, float]]:
    """Return the corners of the Pareto front: from each rival across to the cost of the next, then down to it."""
    points = [(r.cost(cost), r.error.median) for r in best]
    across = [(after[0], before[1]) for before, after in pairwise(points)]
    return [p for pair in zip(points, across, strict=False) for p in pair] + points[-1:]


def _limits(ax: Axes, drawn: list[Rival], cost: str, limit: float) -> None:
    spent = [r.cost(cost) for r in drawn]
    lows = [r.error.low for r in drawn if r.error.low]
    ax.set_xlim(min(spent) / 1.5, max(spent) * 1.6)
    ax.set_ylim(min(*lows, *(r.error.median for r in drawn), limit) / 1.05, limit)
    _plain_ticks(ax.xaxis, *ax.get_xlim())
    _plain_ticks(ax.yaxis, *ax.get_ylim())


def _plain_ticks(axis: Any, low: float, high: float) -> None:
    if high > 100 * low:
        return
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda x, _: f"{x:,g}")
    axis.set_minor_formatter(NullFormatter())


def _rank(ax: Axes, problem: Comparison, cost: str) -> None:
    """Draw the cost of each rival until the common error, the fewest products at the top."""
    order = sorted(problem.rivals, key=lambda r: (r.attained is None, r.cost("matvecs"), r.name))
    reached = [r.cost(cost) for r in order if r.attained is not None and r.costs[cost].runs]
    low, high = (min(reached) / 1.5, max(reached) * 1.5) if reached else (1.0, 10.0)
    for y, rival in enumerate(order):
        colour, marker = _LOOKS[rival.kind]
        look: Any = {"markeredgecolor": colour, "markersize": 6 if rival.kind in (CONVERGED, PRDP) else 4.5}
        if rival.cost(cost) not in reached:
            ax.text(
                0.99,
                y,
                _why_not(rival),
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="center",
                size=6.5,
            )
            continue
        ax.plot([low, rival.cost(cost)], [y, y], color=colour, linewidth=0.6, alpha=0.4, zorder=1)
        fill = "white" if _refined(rival) else colour
        ax.plot(rival.cost(cost), y, marker, markerfacecolor=fill, zorder=3, **look)
    ax.set(xscale="log", xlim=(low, high), ylim=(len(order) - 0.3, -0.7), xlabel=_COSTS[cost])
    _plain_ticks(ax.xaxis, low, high)
    ax.set_yticks(range(len(order)), [r.name for r in order], size=6.5)
    ax.tick_params(axis="y", length=0)
    for tick, rival in zip(ax.get_yticklabels(), order, strict=True):
        tick.set_color(_LOOKS[rival.kind][0])
        tick.set_fontweight("bold" if rival.kind in (CONVERGED, PRDP) else "normal")
    ax.set_title(f"{_title(problem)}: until an error of {COMMON_ERROR:.0e}", pad=4)


def _why_not(rival: Rival) -> str:
    if rival.diverged:
        return "diverged"
    return (
        "not timed alone" if rival.attained is not None else f"not reached, ends at {rival.error.median:.2g}"
    )


def _title(problem: Comparison) -> str:
    return f"{problem.title}, {problem.seeds}" if problem.seeds else problem.title


def _legend(figure: Figure, problems: list[Comparison]) -> None:
    kinds = {r.kind for p in problems for r in p.rivals}
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=5, label=kind)
        for kind, (colour, marker) in _LOOKS.items()
        if kind in kinds
    ]
    if any(_refined(r) for p in problems for r in p.rivals):
        look: Any = {"markerfacecolor": "white", "markeredgecolor": "black"}
        handles.append(
            Line2D([], [], linestyle="", marker="o", markersize=5, label="hollow: with PRDP", **look)
        )
    if not all(p.to_common_error for p in problems):
        handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=0.9, label="Pareto front"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
