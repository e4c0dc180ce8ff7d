"""Own runs: training curves, K and savings of every problem, with a line for each arm of each configuration."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.comparison import case_columns, distinguish, tidy
from prdp.analysis.figures import style
from prdp.analysis.figures.base import NothingToDraw
from prdp.analysis.figures.curves import draw_errors, draw_staircases
from prdp.analysis.problems import place, title
from prdp.analysis.quantities import savings
from prdp.analysis.records import OWN, Records
from prdp.analysis.reference import Reference
from prdp.analysis.tables.cells import Group, groups

_COLOURS = [style.PRDP, *sns.color_palette("colorblind").as_hex()]


@style.styled
def own(records: Records, reference: Reference) -> Figure:
    """Draw one row per problem: validation error, K, and a legend with the savings.

    Raises:
        NothingToDraw: every recorded run belongs to a preset.
    """
    chosen = records.of(OWN)
    runs = tidy(chosen)
    if runs.empty:
        raise NothingToDraw("every recorded run belongs to a preset")
    problem = ["physics", "scale"]
    runs["variant"] = distinguish(runs, problem, case_columns(runs), only_unusual=True)
    parts = sorted(runs.groupby(problem), key=lambda part: _place(*part[0]))
    heights = [max(2.0, 0.16 * part.groupby(["case", "arm"]).ngroups) for _, part in parts]
    figure = style.canvas(2.6 * style.WIDTH, sum(heights) + 0.3)
    axes = figure.subplots(len(parts), 3, squeeze=False, height_ratios=heights, width_ratios=(1.2, 1, 0.9))
    for row, ((physics, scale), part) in zip(axes, parts, strict=True):
        _row(row, part, chosen)
        row[0].set_title(title(str(physics), reduced=scale != "full"), pad=4)
    return figure


def _place(physics: object, scale: object) -> tuple[tuple[int, str], str]:
    return place(str(physics)), str(scale)


def _row(axes: np.ndarray, runs: pd.DataFrame, records: Records) -> None:
    error, levels, key = axes
    parts = []
    for i, arm in enumerate(groups(runs)):
        usual = arm.first["is_converged"] and not arm.first["variant"]
        line: dict[str, Any] = {
            "color": style.CONVERGED if usual else _COLOURS[i % len(_COLOURS)],
            "linestyle": "--" if arm.first["is_converged"] else "-",
        }
        part = records.keep(records.summaries["run"].isin(arm.runs["run"]))
        draw_staircases(levels, part, **line)
        parts.append((part, {**line, "label": _label(arm)}))
    draw_errors(error, parts)
    error.set(xlabel="epoch", ylabel="validation error", xlim=(0, runs["epochs"].max()))
    levels.set(xlabel="epoch", ylabel="iterations K", xlim=(0, runs["epochs"].max()))
    levels.set_ylim(bottom=0)
    for axis in (levels.xaxis, levels.yaxis, error.xaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    key.set_axis_off()
    key.legend(*error.get_legend_handles_labels(), loc="center left", bbox_to_anchor=(-0.1, 0.5))


def _label(arm: Group) -> str:
    saved = savings(arm.runs).total
    name = ", ".join(filter(None, (arm.first["arm"], arm.first["variant"])))
    seeds = f"{saved.runs} of {len(arm.runs)} finished" if saved.diverged else f"seeds: {saved.runs}"
    share = f"saves {100 * saved.mean:.1f} %, " if saved.runs and not arm.first["is_converged"] else ""
    return f"{name}: {share}{seeds}"
