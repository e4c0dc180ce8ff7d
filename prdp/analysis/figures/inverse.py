"""The Poisson inverse problems: parameter error, K and cumulative iterations over the updates (figures 3 and 15)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, NothingToDraw, pick
from prdp.analysis.quantities import account, common_error, first_reach, paper_account
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference

# Schedule -> its name, colour and line style.
_LINES = {
    "fixed": ("converged", style.CONVERGED, "-"),
    "linear": ("manual", style.OTHER, "--"),
    "prdp": ("PRDP", style.PRDP, "-"),
}
_SOLVERS = {"jacobi": "Jacobi", "steepest_descent": "steepest descent"}


def draw_inverse(axes: np.ndarray, histories: dict[str, pd.DataFrame], target: float, number: int) -> None:
    """Draw error, K and cumulative iterations of one run per schedule, with the savings by two accounts.

    Dots mark where each run reaches the error `target`, ticks where the paper's account ends.
    """
    error, levels, total = axes
    longest = 0
    base = histories.get("fixed")
    saved: list[tuple[str, str, float, float]] = []
    for schedule, history in histories.items():
        name, colour, dashes = _LINES[schedule]
        line: Any = {"color": colour, "linestyle": dashes}
        x = history["updates"]
        longest = max(longest, int(x.max()))
        error.plot(x, history["val_error"], label=name, **line)
        levels.step(x, history["iterations"], where="pre", **line)
        style.hover(total.plot(x, history["iterations_total"] / 1e3, **line), name)
        ends = {"o": first_reach(history, target)}
        if base is not None and len(histories) > 1:
            other = history if schedule != "fixed" else next(h for k, h in histories.items() if k != "fixed")
            charged = paper_account(base, other, parameters=number, name=schedule)
            ends["|"] = charged.baseline_updates if schedule == "fixed" else charged.updates
            if schedule != "fixed":
                common = account(base, history, error=target).savings
                saved.append((name, colour, common, charged.savings))
        for marker, update in ends.items():
            at = history[history["updates"] == update].iloc[0]
            look: Any = {
                "color": colour,
                "markersize": 4 if marker == "o" else 8,
                "clip_on": False,
                "zorder": 4,
            }
            error.plot(update, at["val_error"], marker, **look)
            total.plot(update, at["iterations_total"] / 1e3, marker, **look)
    error.axhline(target, color=style.NEUTRAL, linewidth=0.7, linestyle=":")
    text = f"{target:.0e}".replace("e-0", "e-")
    error.text(0.01, target * 1.15, text, size=6.5, transform=error.get_yaxis_transform())
    error.set_yscale("log")
    error.yaxis.set_major_locator(LogLocator(numticks=5))
    levels.set_ylim(0, 1.08 * max(h["iterations"].max() for h in histories.values()))
    total.set_ylim(bottom=0)
    total.set_xlim(0, longest)
    total.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}K" if v else "0"))
    _accounts(total, saved, text)


def _accounts(ax: Axes, saved: list[tuple[str, str, float, float]], target: str) -> None:
    """Write the savings of each schedule by both accounts."""
    if not saved:
        return
    rows = [("saved", "black", f"\u25cf to {target}", "| paper's account")]
    rows += [(name, colour, f"{a:.0%}", f"{b:.0%}") for name, colour, a, b in saved]
    for i, (name, colour, *cells) in enumerate(rows):
        for x, text in zip((0.02, 0.24, 0.46), (name, *cells), strict=True):
            look: Any = {"size": 6.5, "va": "top", "color": colour, "weight": "normal" if i == 0 else "bold"}
            ax.text(x, 0.97 - 0.145 * i, text, transform=ax.transAxes, **look)


def _histories(records: Records, experiments: tuple[str, ...], **case: object) -> dict[str, pd.DataFrame]:
    runs = pick(records, experiments, physics="poisson", **case)
    found = {}
    for schedule in _LINES:
        one = runs.where(schedule=schedule).summaries
        if len(one):
            found[schedule] = runs.history(one["run"].iloc[0])
    return found


def _name_axes(axes: np.ndarray) -> None:
    for ax, text in zip(
        axes, ("parameter error", "iterations K", "inner iterations,\ncumulative"), strict=True
    ):
        ax.set_ylabel(text)


@style.styled
def fig_3(records: Records, reference: Reference) -> Figure:
    """Draw the problem with one parameter: a constant, a manual and a progressive K."""
    case = {"physics__parameters": 1, "solver": "jacobi", "diff": "unrolled"}
    histories = _histories(records, ("fig_3", FAST), **case)
    if not histories:
        raise NothingToDraw("no run of fig_3")
    figure = style.canvas(style.WIDTH * 1.25, 4.8)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(1.5, 1, 1.2))
    draw_inverse(axes, histories, common_error(histories.values()), 1)
    _name_axes(axes)
    axes[0].legend(loc="upper right")
    axes[2].set_xlabel("outer updates")
    axes[0].set_title("Poisson, 1 parameter, Jacobi, unrolled", pad=4)
    figure.align_ylabels(axes)
    return figure


@style.styled
def fig_15(records: Records, reference: Reference) -> Figure:
    """Draw the six combinations of parameters, solver and differentiation."""
    rows = ("unrolled", "implicit")
    columns = ((1, "jacobi"), (3, "jacobi"), (3, "steepest_descent"))
    found = {
        (diff, parameters, solver): _histories(
            records, ("fig_15", "table_4_1", FAST), physics__parameters=parameters, solver=solver, diff=diff
        )
        for diff in rows
        for parameters, solver in columns
    }
    if not any(found.values()):
        raise NothingToDraw("no run of fig_15")
    target = common_error(h for histories in found.values() for k, h in histories.items() if k != "linear")
    figure = style.canvas(style.WIDTH * 3, 8.0)
    halves: Any = figure.subfigures(2, 1)
    for part, diff in zip(halves, rows, strict=True):
        axes = part.subplots(3, 3, sharex="col", height_ratios=(1.5, 1, 1.2))
        _name_axes(axes[:, 0])
        for column, (parameters, solver) in zip(axes.T, columns, strict=True):
            histories = {k: h for k, h in found[diff, parameters, solver].items() if k != "linear"}
            plural = "s" if parameters > 1 else ""
            column[0].set_title(f"{parameters} parameter{plural}, {_SOLVERS[solver]}, {diff}", pad=4)
            if not histories:
                column[0].text(0.5, 0.5, "not run", ha="center", transform=column[0].transAxes)
                continue
            draw_inverse(column, histories, target, parameters)
            column[2].set_xlabel("outer updates")
        part.align_ylabels(axes[:, 0])
        if found_lines := axes[0, 0].get_legend_handles_labels()[0]:
            axes[0, 0].legend(handles=found_lines, loc="upper right")
    return figure
