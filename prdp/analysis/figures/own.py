"""Own runs: training curves, K and savings of every problem, with a line for each arm of each configuration."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prdp.analysis.comparison import tidy
from prdp.analysis.figures import style
from prdp.analysis.figures.base import NothingToDraw
from prdp.analysis.figures.curves import draw_band, draw_ends, draw_staircases, error_axis, table
from prdp.analysis.problems import place, title
from prdp.analysis.quantities import savings
from prdp.analysis.records import OWN, Records
from prdp.analysis.tables.cells import Group, groups

# Beyond as many arms, colours repeat with other dashes.
_COLOURS = [style.PRDP, style.OTHER, *sns.color_palette("colorblind").as_hex()[2:]]
_DASHES = ("-", "--", ":", "-.")


@style.styled
def own(records: Records) -> Figure:
    """Draw one column per problem: validation error, K, and a legend with the savings.

    Raises:
        NothingToDraw: every recorded run belongs to a preset.
    """
    chosen = records.of(OWN)
    runs = tidy(chosen)
    if runs.empty:
        raise NothingToDraw("every recorded run belongs to a preset")
    parts = list(_problems(runs))
    figure = style.canvas(max(style.WIDTH * len(parts), style.WIDTH), 4.6)
    axes = figure.subplots(2, len(parts), sharex="col", height_ratios=(1.7, 1), squeeze=False)
    for (error, levels), (name, part) in zip(axes.T, parts, strict=True):
        _column(error, levels, part, chosen)
        error.set_title(name, pad=4)
    axes[0, 0].set_ylabel("validation error")
    axes[1, 0].set_ylabel("iterations K")
    figure.align_ylabels(axes[:, 0])
    return figure


def _problems(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    parts = {
        (place(str(physics)), scale != "full"): part
        for (physics, scale), part in runs.groupby(["physics", "scale"])
    }
    for (key, reduced), part in sorted(parts.items(), key=lambda item: item[0]):
        yield title(key[1], reduced=reduced), part


def _column(error: Axes, levels: Axes, runs: pd.DataFrame, records: Records) -> None:
    drawn, arms = [], list(groups(runs))
    for i, arm in enumerate(arms):
        part = records.keep(records.summaries["run"].isin(arm.runs["run"]))
        colour = style.CONVERGED if arm.first["is_converged"] else _COLOURS[i % len(_COLOURS)]
        line: dict[str, Any] = {"color": colour, "linestyle": _DASHES[i // len(_COLOURS) % len(_DASHES)]}
        drawn.append(table(part, "val_error"))
        draw_band(error, drawn[-1], label=_label(arm), **line)
        draw_staircases(levels, part, **line)
    error_axis(error, drawn)
    for arm in arms:
        part = records.keep(records.summaries["run"].isin(arm.runs["run"]))
        draw_ends(error, part, "val_error", color="black")
    levels.set(xlabel="epoch", xlim=(0, runs["epochs"].max()))
    levels.set_ylim(bottom=0)
    levels.legend(*error.get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, -0.28))


def _label(arm: Group) -> str:
    saved = savings(arm.runs).total
    name = f"{arm.first['arm']} ({arm.first['variant']})" if arm.first["variant"] else arm.first["arm"]
    seeds = f"{saved.runs} of {len(arm.runs)} finished" if saved.diverged else f"seeds: {saved.runs}"
    share = f"saves {100 * saved.mean:.1f} %, " if saved.runs and not arm.first["is_converged"] else ""
    return f"{name}: {share}{seeds}"
