"""Error over iterations: the best schedules in hindsight, and all others over K."""

from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prdp.analysis import problems
from prdp.analysis.comparison import finished, tidy
from prdp.analysis.figures import style
from prdp.analysis.figures.base import NothingToDraw
from prdp.analysis.figures.labels import Label, label_points
from prdp.analysis.problems import REDUCED, physics_of, place, title
from prdp.analysis.records import OWN, Records
from prdp.analysis.reference import Reference
from prdp.analysis.regret import OVER_TOLERANCES
from prdp.analysis.rival_names import CONVERGED, DEADLINE, PRDP, SCHEDULE, TWO_STAGES, named

EXPERIMENTS = ("rivals", "fig_4", "fig_6", "fig_8", OWN)
_LOOKS = {
    CONVERGED: ("s", style.CONVERGED),
    PRDP: ("D", style.PRDP),
    TWO_STAGES: ("^", "#009e73"),
    DEADLINE: ("v", style.OTHER),
    "matched": ("X", style.NEUTRAL),
    "linear": ("<", style.NEUTRAL),
    "geometric PRDP": (">", style.NEUTRAL),
    "PRDP by flatness": ("P", style.NEUTRAL),
}
_UNKNOWN = ("h", style.NEUTRAL)
# The part of errors that is shown at least, relative to the converged one.
_CUT = 6.0
_COLUMNS = 5  # in a row


@style.styled
def oracle(records: Records, reference: Reference) -> Figure:
    """Draw one panel for each seed of each problem that was searched; an inverse problem has no seeds.

    Raises:
        NothingToDraw: no problem was searched and trained with PRDP on the same seed.
    """
    panels = [
        (problem, int(str(seed)), front, runs)
        for problem, fronts in sorted(reference.oracles.items(), key=lambda item: _order(item[0]))
        for seed, front in fronts.groupby("seed")
        if len(runs := _runs(records, problem, int(str(seed))))
    ]
    if not panels:
        raise NothingToDraw("no problem was searched for its best schedules and trained")
    lines = [panels[i : i + _COLUMNS] for i in range(0, len(panels), _COLUMNS)]
    rows, columns = len(lines), max(map(len, lines))
    figure = style.canvas(2.9 * columns, 3.0 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False)
    labelled = []
    for row, line in zip(axes, lines, strict=True):
        for ax, (problem, seed, front, runs) in zip(row, line, strict=False):
            labelled.append((ax, *_panel(ax, front, runs)))
            measured = "error of the parameter" if _seedless(problem) else f"seed {seed}"
            ax.set_title(f"{title(problem)}, {measured}", pad=4)
        row[0].set_ylabel("final validation error")
    for ax in axes.ravel():
        if not ax.has_data():
            ax.set_axis_off()
    key = {n: h for ax in axes.ravel() for h, n in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(key.values(), key.keys(), loc="outside lower center", ncols=len(key))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax, labels, curve in labelled:
        label_points(ax, labels, curve)
    return figure


def _runs(records: Records, problem: str, seed: int) -> pd.DataFrame:
    """Return the finished runs of one seed, one for each schedule over K with the problem's reference mode."""
    chosen = records.of(*EXPERIMENTS).where(
        physics=physics_of(problem),
        scale="small" if problem.endswith(REDUCED) else "full",
        metric="val_error",
        status="finished",
    )
    if chosen.summaries.empty:
        return pd.DataFrame()
    runs = finished(named(tidy(chosen)))
    # Seeds are compared on the paper's problem, whose other settings most runs have.
    runs = runs[runs["problem"] == runs["problem"].mode()[0]]
    if not _seedless(problem):
        runs = runs[runs["seed"] == seed]
    runs = runs[runs["kind"].isin([CONVERGED, PRDP, SCHEDULE]) & ~runs["schedule"].isin(OVER_TOLERANCES)]
    return runs if PRDP in set(runs["rival"]) else pd.DataFrame()


def _seedless(problem: str) -> bool:
    return problems.problem(physics_of(problem)).kind == "inverse"


def _order(problem: str) -> tuple[bool, tuple[int, str]]:
    return _seedless(problem), place(problem)


def _levels(run: dict[Any, Any]) -> tuple[int, int]:
    return int(run["iterations_final"]), int(run["converged_iterations"])


def _panel(
    ax: Axes, front: pd.DataFrame, runs: pd.DataFrame
) -> tuple[list[Label], list[tuple[float, float]]]:
    """Draw a front and the runs of its seed; return the labels, and the corners of the front."""
    runs = runs.assign(level=runs["schedule"].eq("fixed") & runs["rival"].ne(CONVERGED))
    low = min(front["val_error"].min(), runs["val_error_final"].min())
    base = runs.loc[runs["rival"] == CONVERGED, "val_error_final"]
    telling = runs.loc[~runs["level"], "val_error_final"].max()
    limit = max(_CUT * (base.mean() if len(base) else low), 1.15 * telling)
    front = front.sort_values("iterations_total")
    x, y = (front[c] / s for c, s in (("iterations_total", 1e3), ("val_error", 1.0)))
    ax.step(x, y, where="post", color="black", linewidth=1.0, zorder=2, label="best in hindsight")
    for spent, error, levels in zip(x, y, front["levels"], strict=True):
        dot = ax.plot(spent, error, ".", color="black", markersize=4, zorder=2)
        style.hover(dot, f"best in hindsight: K = {', '.join(map(str, levels))}; error {error:.3g}")
    labels = []
    for run in runs.sort_values("iterations_total").to_dict("records"):
        level = run["level"]
        # A name may have parameters in brackets.
        name = "fixed K" if level else run["rival"].partition(" (")[0]
        marker, colour = ("o", style.level_colour(*_levels(run))) if level else _LOOKS.get(name, _UNKNOWN)
        spent, error = run["iterations_total"] / 1e3, run["val_error_final"]
        if error > limit:
            continue
        look: Any = {"markersize": 4.5 if level else 6.5, "markeredgecolor": "black", "markeredgewidth": 0.5}
        if name in ax.get_legend_handles_labels()[1]:
            name = ""
        mark = ax.plot(
            spent, error, marker, color=colour, linestyle="", label=name, zorder=3 if level else 4, **look
        )
        style.hover(mark, f"{run['rival']}: error {error:.3g}, {1e3 * spent:,.0f} iterations")
        labels.append(Label(spent, error, str(run["iterations_final"]) if level else "", "black"))
    ax.set(xscale="log", yscale="log", ylim=(low / 1.08, limit))
    left = min(x[y <= limit].min(), runs["iterations_total"].min() / 1e3)
    ax.set_xlim(left / 1.25, runs["iterations_total"].max() / 1e3 * 1.25)
    style.plain_ticks(ax.xaxis)
    style.plain_ticks(ax.yaxis)
    ax.set_xlabel("inner iterations, thousand")
    points = list(zip(x, y, strict=True))
    corners = [p for a, b in pairwise(points) for p in (a, (b[0], a[1]))] + points[-1:]
    return labels, corners
