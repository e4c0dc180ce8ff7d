"""PRDP over a tolerance instead of iterations, and on the training loss (figures 13 and 26)."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import name_of, of_common_seeds, panels, seeds_of
from prdp.analysis.figures.curves import draw_band, draw_errors, draw_staircases, table
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference

# Draws one kind of run into a panel.
Row = Callable[..., None]

_LINES = ((style.PRDP, "-"), (style.OTHER, "--"))


def executed(records: Records) -> pd.DataFrame:
    """Return the mean number of iterations that a solve executed: one row per epoch, one column per run."""
    done = table(records, "iterations_executed_total").diff()
    solves = table(records, "iterations_total").diff() / table(records, "iterations")
    return done / solves


def draw_columns(
    figure: Figure,
    found: dict[str, Records],
    kinds: Callable[[Records], dict[str, Records]],
    rows: dict[str, Row],
) -> None:
    """Draw one column per physics: the validation error by kind of runs, and the rows (label -> drawing) beneath."""
    heights = (1.6, *[1.4 if draw is draw_loss else 1.0 for draw in rows.values()])
    found = {name: of_common_seeds(runs) for name, runs in found.items()}
    axes = figure.subplots(1 + len(rows), len(found), sharex="col", height_ratios=heights, squeeze=False)
    for (error, *others), runs in zip(axes.T, found.values(), strict=True):
        parts = [
            (part, {"color": colour, "linestyle": dashes, "label": name})
            for (name, part), (colour, dashes) in zip(kinds(runs).items(), _LINES, strict=True)
            if len(part.summaries)
        ]
        draw_errors(error, parts)
        for part, line in parts:
            for ax, draw in zip(others, rows.values(), strict=True):
                draw(ax, part, color=line["color"], linestyle=line["linestyle"])
        error.set_title(f"{name_of(runs)}\n{seeds_of(runs)}", pad=4)
        others[-1].set(xlabel="epoch", xlim=(0, runs.histories["epoch"].max()))
    for ax, label in zip(axes[:, 0], ("validation error", *rows), strict=True):
        ax.set_ylabel(label)
    figure.align_ylabels(axes[:, 0])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def draw_iterations(ax: Axes, records: Records, **line: Any) -> None:
    """Draw K of every run and the median."""
    draw_staircases(ax, records, **line)
    _from_zero(ax)


def draw_executed(ax: Axes, records: Records, **line: Any) -> None:
    """Draw the iterations that a solve executed."""
    draw_band(ax, executed(records), **line)
    _from_zero(ax)


def _from_zero(ax: Axes) -> None:
    ax.autoscale(axis="y")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def draw_tolerance(ax: Axes, records: Records, **line: Any) -> None:
    """Draw the tolerance of every run that PRDP refines by it, and the median."""
    refined = records.where(schedule="tolerance_prdp")
    if len(refined.summaries):
        draw_staircases(ax, refined, "tolerance", **line)
        ax.set_yscale("log")
        style.plain_ticks(ax.yaxis)


def draw_loss(ax: Axes, records: Records, **line: Any) -> None:
    """Draw the training loss, the mean over the updates of each epoch."""
    draw_band(ax, table(records, "train_loss"), **line)
    ax.set_yscale("log")
    style.plain_ticks(ax.yaxis)


@style.styled
def fig_13(records: Records, reference: Reference) -> Figure:
    """Draw PRDP by iterations and PRDP by tolerance: error, executed iterations, tolerance."""
    found = compared(panels(records, ("fig_13",)), by_schedule)
    figure = style.canvas(max(2.6 * len(found), style.WIDTH), 4.9)
    rows = {"executed iterations,\nper solve": draw_executed, "tolerance": draw_tolerance}
    draw_columns(figure, found, by_schedule, rows)
    return figure


def compared(found: dict[str, Records], parts: Callable[[Records], dict[str, Records]]) -> dict[str, Records]:
    """Return the problems that have runs of every part, or all problems if none has."""
    whole = {
        name: runs for name, runs in found.items() if all(len(p.summaries) for p in parts(runs).values())
    }
    return whole or found


def by_schedule(runs: Records) -> dict[str, Records]:
    """Return the runs by the quantity that PRDP refines."""
    return {
        "PRDP by iterations": runs.where(schedule="prdp"),
        "PRDP by tolerance": runs.where(schedule="tolerance_prdp"),
    }


@style.styled
def fig_26(records: Records, reference: Reference) -> Figure:
    """Draw PRDP driven by the validation error and by the training loss: error, loss and K."""
    found = compared(panels(records, ("fig_26",), schedule="prdp"), by_metric)
    figure = style.canvas(max(2.5 * len(found), style.WIDTH), 5.0)
    rows = {"training loss": draw_loss, "iterations K": draw_iterations}
    draw_columns(figure, found, by_metric, rows)
    return figure


def by_metric(runs: Records) -> dict[str, Records]:
    """Return the runs by the metric of PRDP, by default the validation error."""
    loss = runs.where(metric="train_loss")
    others = runs.keep(~runs.summaries["run"].isin(loss.summaries["run"]))
    return {"driven by the validation error": others, "driven by the training loss": loss}
