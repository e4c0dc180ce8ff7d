"""The error of the training gradient over K, by mode, at three times of a training."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import NothingToDraw
from prdp.analysis.gradients import TIMES
from prdp.analysis.problems import place, title
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.rival_names import mode_name

# Colours that stay apart for the colour-blind (Okabe and Ito), and markers.
_LOOKS = {
    "implicit": ("black", "o"),
    "unrolled": ("#0072b2", "s"),
    "truncated": ("#56b4e9", "v"),
    "one_step": ("#009e73", "^"),
    "jfb": ("#e66100", "D"),
    "phantom": ("#f0a800", "P"),
    "neumann": ("#cc79a7", "X"),
    "reduced_cg": ("#7a5195", "*"),
}
# Wide, because others often have the same curve: those of `unrolled` and of `jfb`.
_BENEATH = ("implicit", "one_step")
# Errors beyond these are drawn at the edge.
_LIMITS = (1e-6, 1e2)


@style.styled
def gradients(_: Records, reference: Reference) -> Figure:
    """Draw one row of panels for each problem, and one column for each time.

    Raises:
        NothingToDraw: no gradient was computed.
    """
    rows = reference.gradients
    rows = rows[rows["time"].notna()]
    problems = sorted(rows["problem"].unique(), key=place)
    if not problems:
        raise NothingToDraw("no training gradients were computed (scripts/training_gradients.py)")
    figure = style.canvas(2.7 * len(TIMES), 1.9 * len(problems) + 0.5)
    axes = figure.subplots(len(problems), len(TIMES), squeeze=False, sharey=True)
    for line, name in zip(axes, problems, strict=True):
        for ax, time in zip(line, TIMES, strict=True):
            part = rows[(rows["problem"] == name) & (rows["time"] == time)]
            _panel(ax, part)
            ax.set_title(f"{title(name)}, {time}", pad=3)
        line[0].set_ylabel("relative error")
    for ax in axes[-1]:
        ax.set_xlabel("iterations K")
    shown: dict[str, Any] = {}
    for ax in axes.ravel():
        shown.update(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ordered = {name: shown[name] for mode in _LOOKS if (name := mode_name(mode)) in shown}
    figure.legend(ordered.values(), ordered, loc="outside lower center", ncols=len(ordered))
    return figure


def _panel(ax: Axes, part: pd.DataFrame) -> None:
    low, high = _LIMITS
    for mode in sorted(_LOOKS, key=lambda mode: mode not in _BENEATH):
        colour, marker = _LOOKS[mode]
        curve = part[part["mode"] == mode].sort_values("iterations")
        if curve.empty:
            continue
        wide = mode in _BENEATH
        look: Any = {
            "markersize": 5.5 if wide else 3.0,
            "linewidth": 2.4 if wide else 0.9,
            "color": colour,
            "marker": marker,
        }
        # An error that is not finite is beyond the upper edge.
        error = curve["error"].fillna(float("inf")).clip(low, high)
        drawn = ax.plot(curve["iterations"], error, label=mode_name(mode), **look)
        style.hover(drawn, f"{mode_name(mode)}: " + _in_words(curve))
    converged = int(part["converged_iterations"].iloc[0])
    ticks = sorted(set(part["iterations"].astype(int)))
    every = max(1, len(ticks) // 6)
    # The last label needs room.
    chosen = [*(k for k in ticks[:-1:every] if k < 0.75 * ticks[-1]), ticks[-1]]
    ax.axvline(part["prdp_iterations"].iloc[0], color=style.PRDP, linewidth=1.0, linestyle="--", zorder=0)
    ax.set(xscale="log", yscale="log", ylim=(low / 2, high * 2), xlim=(0.85, converged * 1.15))
    ax.xaxis.set_major_locator(FixedLocator(chosen))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
    ax.axhline(1.0, color=style.NEUTRAL, linewidth=0.5, zorder=0)


def _in_words(curve: pd.DataFrame) -> str:
    return ", ".join(f"K = {k}: {e:.2g}" for k, e in zip(curve["iterations"], curve["error"], strict=True))
