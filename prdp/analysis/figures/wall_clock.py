"""Seconds of training, converged and with PRDP (figures 2 and 24)."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from prdp.analysis.comparison import tidy, timed_alone
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, converged, name_of, panels
from prdp.analysis.quantities import time_saved
from prdp.analysis.records import Records

PARTS = ("seconds_train", "seconds_validate", "seconds_compile")


def alone(records: Records) -> Records:
    """Return the runs whose seconds may be compared."""
    return records.keep(timed_alone(records.summaries))


def same_device(records: Records) -> Records:
    """Return the finished runs of one device: of those with converged and PRDP runs, the one with most runs."""

    def pairs(device: object) -> tuple[int, int]:
        runs = records.where(device=device, status="finished")
        baseline, refined = len(converged(runs).summaries), len(runs.where(schedule="prdp").summaries)
        return min(baseline, refined), baseline + refined

    devices = sorted(records.summaries["device"].dropna().unique())
    chosen = {"device": max(devices, key=pairs)} if devices else {}
    return records.where(status="finished", **chosen)


def seconds(records: Records) -> dict[str, pd.Series]:
    """Return the mean seconds of each part by schedule: `converged` and `PRDP`, if they have runs."""
    kinds = {"converged": converged(records), "PRDP": records.where(schedule="prdp")}
    return {name: r.summaries[list(PARTS)].mean() for name, r in kinds.items() if len(r.summaries)}


def share_saved(records: Records) -> float | None:
    """Return the mean share of seconds that PRDP saves; null without a baseline."""
    runs = tidy(records)
    found = time_saved(runs)[runs["schedule"] == "prdp"].dropna() if len(runs) else pd.Series(dtype=float)
    return float(found.mean()) if len(found) else None


def draw_seconds(ax: Axes, records: Records, title: str) -> None:
    """Draw a stacked bar for each schedule, and the share saved."""
    runs = same_device(records)
    means = seconds(runs)
    colours = {"converged": style.CONVERGED, "PRDP": style.PRDP}
    longest = max((m.sum() for m in means.values()), default=1.0)
    unit, name = (60.0, "minutes") if longest > 600 else (1.0, "seconds")
    for x, (kind, mean) in enumerate(means.items()):
        draw_bar(ax, x, mean / unit, colours[kind])
    saved = share_saved(runs)
    if saved is not None:
        _percentage(ax, saved, means["PRDP"] / unit, longest / unit)
    ax.set_xticks(range(len(means)), list(means))
    ax.tick_params(axis="x", length=0)
    ax.set(ylim=(0, 1.12 * longest / unit), xlim=(-0.55, 1.55), ylabel=name)
    ax.set_title(title, pad=4)
    ax.set_xlabel(_device(runs), size=6.5)


def draw_bar(ax: Axes, x: int, parts: pd.Series, colour: str) -> list[BarContainer]:
    """Draw training and validation, filled, and compilation on top, in outline; return the three."""
    looks: tuple[Any, ...] = (
        {"color": colour, "linewidth": 0},
        {"color": colour, "alpha": 0.5, "linewidth": 0},
        {"facecolor": "none", "edgecolor": colour, "linestyle": ":", "linewidth": 0.8},
    )
    bars, bottom = [], 0.0
    for part, look in zip(PARTS, looks, strict=True):
        bars.append(ax.bar(x, parts[part], bottom=bottom, width=0.75, **look))
        bottom += parts[part]
    return bars


def _percentage(ax: Axes, saved: float, parts: pd.Series, longest: float) -> None:
    sign = "\u2212" if saved >= 0 else "+"
    text = f"{sign}{abs(saved):.0%}"
    counted = parts["seconds_train"] + parts["seconds_validate"]
    look: Any = {"ha": "center", "weight": "bold", "size": 8.5}
    if counted > 0.15 * longest:
        ax.text(1, parts["seconds_train"] / 2, text, va="center", color="white", **look)
    else:
        ax.text(1, parts.sum() + 0.02 * longest, text, **look)


def _device(records: Records) -> str:
    if records.summaries.empty:
        return "no finished run"
    row = records.summaries.iloc[0]
    device = str(row.get("device", ""))
    cores = row.get("cpu_count", math.nan)
    if device.startswith("cpu") and pd.notna(cores):
        return f"CPU, {int(cores)} cores"
    return device.removeprefix("gpu: ").removeprefix("cuda: ")


@style.styled
def fig_24(records: Records) -> Figure:
    """Draw the training time of every physics, with a panel of its own for dense matrices."""
    found: dict[str, Records] = {}
    for runs in panels(alone(records), ("fig_24", "table_1", FAST)).values():
        dense = runs.summaries["solver.operator"] == "dense"
        parts = {name_of(runs): runs.keep(~dense), f"{name_of(runs)} (dense matrix)": runs.keep(dense)}
        found |= {title: part for title, part in parts.items() if len(part.summaries)}
    figure = style.canvas(max(1.85 * len(found), 2.4), 2.9)
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for ax, (title, runs) in zip(axes, found.items(), strict=True):
        draw_seconds(ax, runs, title.replace(" (", "\n("))
    handles = draw_bar(axes[0], 0, pd.Series(0.0, index=list(PARTS)), style.NEUTRAL)
    figure.legend(
        [h[0] for h in handles],
        ["training", "validation", "compilation"],
        loc="outside lower center",
        ncols=3,
    )
    return figure
