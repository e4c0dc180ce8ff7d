"""Error over cost of every rival of PRDP that trains a network, with the Pareto front."""

import math
import textwrap
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prdp.analysis.figures import style
from prdp.analysis.figures.base import NothingToDraw
from prdp.analysis.figures.labels import Label, label_points
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.rival_names import CONVERGED, MODE, PRDP, SCHEDULE, SOLVER, WARM
from prdp.analysis.rivals import EXPERIMENT, Comparison, Rival, compare, pareto_front

_WIDTH, _HEIGHT = 4.6, 3.9
# Colours differ in every kind of colour blindness, shapes without colour.
LOOKS = {
    CONVERGED: (style.CONVERGED, "s"),
    PRDP: (style.PRDP, "D"),
    SCHEDULE: ("#009e73", "^"),
    MODE: (style.OTHER, "o"),
    SOLVER: ("#cc79a7", "v"),
    WARM: ("#8c6d1f", "P"),
}
COSTS = {
    "matvecs": "matrix-vector products, forward and adjoint",
    "seconds": "seconds, training and validation",
}
# Errors above this multiple of the converged one are drawn at the upper edge: otherwise they squeeze all others.
_CUT = 4.0
# A panel with more rivals has room only for the names of the front, of PRDP and of converged training.
_NAMED = 20


def costed(records: Records) -> list[tuple[Comparison, str]]:
    """Return the problems with each cost that may be compared.

    Seconds are shown where PRDP and at least two others were timed alone, on one commit.

    Raises:
        NothingToDraw: no problem has runs.
    """
    # A network alone has no rival.
    problems = [p for p in compare(records) if len(p.rivals) > 1 or p.to_common_error]
    if not problems:
        raise NothingToDraw(f"no run of {EXPERIMENT}")
    found = []
    for problem in problems:
        timed = [r for r in problem.rivals if r.costs["seconds"].runs]
        comparable = problem.prdp in timed and len(timed) > 2
        found += [(problem, cost) for cost in (COSTS if comparable else ("matvecs",))]
    return found


@style.styled
def rivals(records: Records, reference: Reference) -> Figure:
    """Draw one panel for each problem with a network and each cost.

    Raises:
        NothingToDraw: no such problem has runs.
    """
    shown = [pair for pair in costed(records) if not pair[0].to_common_error]
    if not shown:
        raise NothingToDraw(f"no run of {EXPERIMENT} trains a network")
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = style.canvas(_WIDTH * columns, _HEIGHT * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    labelled = [(ax, *_scatter(ax, *pair)) for ax, pair in zip(axes, shown, strict=False)]
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    front = Line2D([], [], color=style.NEUTRAL, linewidth=0.9, label="Pareto front")
    figure.legend(
        handles=[*kinds([p for p, _ in shown]), front], loc="outside lower center", ncols=4 * columns
    )
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax, labels, curve in labelled:
        label_points(ax, labels, curve)
    return figure


def kinds(problems: list[Comparison]) -> list[Line2D]:
    """Return the key to the kinds of rivals."""
    present = {r.kind for p in problems for r in p.rivals}
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=5, label=kind)
        for kind, (colour, marker) in LOOKS.items()
        if kind in present
    ]
    if any(is_refined(r) for p in problems for r in p.rivals):
        look: Any = {"markerfacecolor": "white", "markeredgecolor": "black"}
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=5, label="hollow: + PRDP", **look))
    return handles


def is_refined(rival: Rival) -> bool:
    """Return whether a rival is PRDP in another mode, with another solver or with warm starts."""
    return rival.schedule == "prdp" and rival.kind != PRDP


def title(problem: Comparison) -> str:
    """Return the problem and its number of seeds."""
    return f"{problem.title}, {problem.seeds}" if problem.seeds else problem.title


def _scatter(ax: Axes, problem: Comparison, cost: str) -> tuple[list[Label], list[tuple[float, float]]]:
    """Draw the rivals of a problem; return their labels by importance, and the Pareto front."""
    drawn = [r for r in problem.rivals if r.error.runs and r.costs[cost].runs]
    ax.set_title(title(problem), pad=9)
    ax.set(ylabel="final validation error, median")
    ax.set_xlabel("\n".join([COSTS[cost], *_absent(problem, cost)]))
    if not drawn:
        return [], []
    limit = _limit(problem, drawn)
    best = pareto_front(drawn, cost)
    corners = _corners(best, cost)
    if corners:
        ax.plot(*zip(*corners, strict=True), color=style.NEUTRAL, linewidth=0.9, zorder=1.5)
    named = [r for r in drawn if len(drawn) <= _NAMED or r in best or r.kind in (CONVERGED, PRDP)]
    for rival in drawn:
        _point(ax, rival, cost, limit, bars=rival in named)
    ax.set(xscale="log", yscale="log")
    _limits(ax, drawn, named, cost, limit)
    order = sorted(drawn, key=lambda r: (r.kind not in (CONVERGED, PRDP), r not in best, r.error.median))
    return [_label(r, cost, limit, named=r in named) for r in order], corners


def _absent(problem: Comparison, cost: str) -> list[str]:
    """Return which rivals have no point, and why, as lines of text."""
    lost = [r.name for r in problem.rivals if not r.error.runs]
    without = [r.name for r in problem.rivals if r.error.runs and not r.costs[cost].runs]
    said = [f"diverged: {', '.join(lost)}"] if lost else []
    if without:
        said.append(f"withdrawn: {', '.join(without)}" if cost == "matvecs" else f"{len(without)} withdrawn")
    return [line for text in said for line in textwrap.wrap(text, 70)]


def _limit(problem: Comparison, drawn: list[Rival]) -> float:
    """Return the error at the upper edge."""
    base = problem.converged if problem.converged in drawn else min(drawn, key=lambda r: r.error.median)
    return 1.15 * max(r.error.median for r in drawn if r.error.median <= _CUT * base.error.median)


def _label(rival: Rival, cost: str, limit: float, *, named: bool) -> Label:
    text, error = rival.name, rival.error.median
    if error > limit:
        text += f" ({error:.2g} \u2191)"
    if rival.diverged:
        text += f" ({rival.diverged} diverged)"
    colour, bold = LOOKS[rival.kind][0], rival.kind in (CONVERGED, PRDP)
    return Label(rival.cost(cost), min(error, limit), text if named or error > limit else "", colour, bold)


def _point(ax: Axes, rival: Rival, cost: str, limit: float, *, bars: bool) -> None:
    colour, marker = LOOKS[rival.kind]
    spent, error = rival.costs[cost], rival.error
    if error.median <= limit and bars:
        ax.errorbar(
            spent.median,
            error.median,
            xerr=_bar(spent.low, spent.median, spent.high),
            yerr=_bar(error.low, error.median, error.high),
            color=colour,
            linewidth=0.7,
            alpha=0.35,
            zorder=2,
        )
    telling = rival.kind in (CONVERGED, PRDP)
    mark = ax.plot(
        spent.median,
        min(error.median, limit),
        marker,
        markersize=6.5 if telling else 4.5,
        markerfacecolor="white" if is_refined(rival) else colour,
        markeredgecolor="black" if telling else colour,
        markeredgewidth=0.8,
        zorder=4 if telling else 3,
        clip_on=False,
    )
    style.hover(mark, f"{rival.name}: error {error.median:.3g}, {spent.median:,.3g} {cost}, n = {error.runs}")


def _bar(low: float | None, middle: float, high: float | None) -> Any:
    return None if low is None or high is None else [[middle - low], [high - middle]]


def _corners(best: list[Rival], cost: str) -> list[tuple[float, float]]:
    """Return the corners of the Pareto front: from each rival across to the cost of the next, then down to it."""
    points = [(r.cost(cost), r.error.median) for r in best]
    across = [(after[0], before[1]) for before, after in pairwise(points)]
    return [p for pair in zip(points, across, strict=False) for p in pair] + points[-1:]


def _limits(ax: Axes, drawn: list[Rival], named: list[Rival], cost: str, limit: float) -> None:
    spent = [r.cost(cost) for r in drawn]
    lows = [r.error.low for r in named if r.error.low]
    ax.set_xlim(min(spent) / 1.5, max(spent) * 1.6)
    ax.set_ylim(min(*lows, *(r.error.median for r in drawn), limit) / 1.05, limit)
    style.plain_ticks(ax.xaxis)
    style.plain_ticks(ax.yaxis)
