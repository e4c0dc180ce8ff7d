"""The Poisson inverse problems: parameter error, K and cumulative iterations over the updates (figures 3 and 15)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, NothingToDraw, pick
from prdp.analysis.quantities import account, common_error, first_reach
from prdp.analysis.records import Records

# Schedule -> its name, colour and line style.
_LINES = {
    "fixed": ("converged", style.CONVERGED, "-"),
    "linear": ("manual", style.OTHER, "--"),
    "prdp": ("PRDP", style.PRDP, "-"),
}
_SOLVERS = {"jacobi": "Jacobi", "steepest_descent": "steepest descent"}


def draw_inverse(axes: np.ndarray, histories: dict[str, pd.DataFrame], target: float) -> None:
    """Draw error, K and cumulative iterations of one run per schedule, and mark the error `target`."""
    error, levels, total = axes
    longest = 0
    for schedule, history in histories.items():
        name, colour, dashes = _LINES[schedule]
        line: Any = {"color": colour, "linestyle": dashes}
        x = history["updates"]
        longest = max(longest, int(x.max()))
        error.plot(x, history["val_error"], label=name, **line)
        levels.step(x, history["iterations"], where="pre", **line)
        if "fixed" in histories and schedule != "fixed":
            name += f" (\u2212{account(histories['fixed'], history, error=target).savings:.0%})"
        total.plot(x, history["iterations_total"] / 1e3, label=name, **line)
        reach = history[history["updates"] == first_reach(history, target)].iloc[0]
        error.plot(reach["updates"], reach["val_error"], "o", color=colour, markersize=4)
        total.plot(reach["updates"], reach["iterations_total"] / 1e3, "o", color=colour, markersize=4)
    error.axhline(target, color=style.NEUTRAL, linewidth=0.7, linestyle=":")
    error.text(
        0.01,
        target * 1.15,
        f"{target:.0e}".replace("e-0", "e-"),
        size=6.5,
        transform=error.get_yaxis_transform(),
    )
    error.set_yscale("log")
    error.yaxis.set_major_locator(LogLocator(numticks=5))
    levels.set_ylim(0, 1.08 * max(h["iterations"].max() for h in histories.values()))
    total.set_ylim(bottom=0)
    total.set_xlim(0, longest)
    total.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}K" if v else "0"))


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
def fig_3(records: Records) -> Figure:
    """Draw the problem with one parameter: a constant, a manual and a progressive K."""
    case = {"physics__parameters": 1, "solver": "jacobi", "diff": "unrolled"}
    histories = _histories(records, ("fig_3", FAST), **case)
    if not histories:
        raise NothingToDraw("no run of fig_3")
    figure = style.canvas(style.WIDTH, 4.4)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(1.5, 1, 1))
    draw_inverse(axes, histories, common_error(histories.values()))
    _name_axes(axes)
    axes[0].legend(loc="upper right")
    axes[2].legend(loc="upper left")
    axes[2].set_xlabel("outer updates")
    axes[0].set_title("Poisson, 1 parameter, Jacobi, unrolled", pad=4)
    figure.align_ylabels(axes)
    return figure


@style.styled
def fig_15(records: Records) -> Figure:
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
    figure = style.canvas(style.WIDTH * 3, 7.6)
    halves: Any = figure.subfigures(2, 1)
    for part, diff in zip(halves, rows, strict=True):
        axes = part.subplots(3, 3, sharex="col", height_ratios=(1.5, 1, 1))
        _name_axes(axes[:, 0])
        for column, (parameters, solver) in zip(axes.T, columns, strict=True):
            histories = {k: h for k, h in found[diff, parameters, solver].items() if k != "linear"}
            plural = "s" if parameters > 1 else ""
            column[0].set_title(f"{parameters} parameter{plural}, {_SOLVERS[solver]}, {diff}", pad=4)
            if not histories:
                column[0].text(0.5, 0.5, "not run", ha="center", transform=column[0].transAxes)
                continue
            draw_inverse(column, histories, target)
            column[2].legend(loc="upper left")
            column[2].set_xlabel("outer updates")
        part.align_ylabels(axes[:, 0])
    return figure
