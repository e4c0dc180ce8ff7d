"""Seconds of training, converged and with PRDP (figures 2 and 24)."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from prdp.analysis.comparison import tidy, timed_alone
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, converged, interval, name_of, panels, percent
from prdp.analysis.quantities import time_saved, timed_in_blocks
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.statistics import Statistic

PARTS = ("seconds_train", "seconds_validate", "seconds_compile")
_COLOURS = {"converged": style.CONVERGED, "PRDP": style.PRDP}


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


def kinds(records: Records) -> dict[str, pd.DataFrame]:
    """Return the summaries of the converged runs and of PRDP, without kinds that have none."""
    found = {"converged": converged(records), "PRDP": records.where(schedule="prdp")}
    return {name: r.summaries for name, r in found.items() if len(r.summaries)}


def seconds(records: Records) -> dict[str, pd.Series]:
    """Return the mean seconds of each part by schedule: `converged` and `PRDP`, if they have runs."""
    return {name: runs[list(PARTS)].mean() for name, runs in kinds(records).items()}


def time_shares(records: Records) -> Statistic:
    """Return the share of seconds that PRDP saves over seeds, with the interval of its mean."""
    runs = tidy(records)
    found = time_saved(runs)[runs["schedule"] == "prdp"] if len(runs) else pd.Series(dtype=float)
    return interval(found)


def share_saved(records: Records) -> float | None:
    """Return the mean share of seconds that PRDP saves; null without a baseline."""
    found = time_shares(records)
    return found.mean if found.runs else None


def draw_seconds(ax: Axes, records: Records, title: str, reference: Reference | None = None) -> None:
    """Draw a stacked bar for each schedule, the share saved and the paper's.

    Runs that shared the machine are drawn hollow, and no share is given.
    """
    timed = same_device(alone(records))
    fair = len(kinds(timed)) > 0
    shown = timed if fair else records.where(status="finished")
    means = seconds(shown)
    longest = max((m.sum() for m in means.values()), default=1.0)
    unit, name = (60.0, "minutes") if longest > 600 else (1.0, "seconds")
    for x, (kind, mean) in enumerate(means.items()):
        draw_bar(ax, x, mean / unit, _COLOURS[kind], hollow=not fair)
        _interval(ax, x, kinds(shown)[kind], unit)
    saved = time_shares(shown) if fair else None
    if saved is not None and saved.runs:
        counted = means["PRDP"] / unit
        blocks = ", in blocks" if timed_in_blocks(*kinds(shown).values()) else ""
        ax.set_xlabel(f"PRDP saves {percent(saved, '-')}\n{_device(shown)}{blocks}", size=6.5)
        _inside(ax, saved, counted, longest / unit)
    elif fair:
        ax.set_xlabel(_device(shown), size=6.5)
    else:
        text = "not timed alone:\nthe bars cannot be compared"
        ax.set_xlabel(text, size=6.5, style="italic")
    marked = fair and _paper(ax, records, means, unit, reference or Reference())
    ax.set_xticks(range(len(means)), [f"{kind}\nn = {len(kinds(shown)[kind])}" for kind in means])
    ax.tick_params(axis="x", length=0)
    ax.set(ylim=(0, 1.12 * longest / unit), xlim=(-0.55, 2.3 if marked else 1.55), ylabel=name)
    ax.set_title(title, pad=4)


def draw_bar(ax: Axes, x: int, parts: pd.Series, colour: str, *, hollow: bool = False) -> None:
    """Draw training and validation, filled or hollow, and compilation on top, dotted."""
    solid = {"color": colour, "linewidth": 0}
    outline = {"facecolor": "white", "edgecolor": colour, "hatch": "////", "linewidth": 0.8}
    dotted = {"facecolor": "none", "edgecolor": colour, "linestyle": ":", "linewidth": 0.8}
    looks: tuple[dict[str, Any], ...] = (
        (outline, outline, dotted) if hollow else (solid, solid | {"alpha": 0.5}, dotted)
    )
    bottom = 0.0
    for part, look in zip(PARTS, looks, strict=True):
        bars = ax.bar(x, parts[part], bottom=bottom, width=0.75, **look)
        style.hover(bars, f"{part.removeprefix('seconds_')}: {parts[part]:.3g} on average")
        bottom += parts[part]


def _interval(ax: Axes, x: int, runs: pd.DataFrame, unit: float) -> None:
    spent = interval((runs["seconds_train"] + runs["seconds_validate"]) / unit)
    if spent.low is not None and spent.high is not None:
        bar = [[spent.mean - spent.low], [spent.high - spent.mean]]
        ax.errorbar(x + 0.3, spent.mean, yerr=bar, color="black", capsize=2, linewidth=0.8)


def _inside(ax: Axes, saved: Statistic, parts: pd.Series, longest: float) -> None:
    sign = "\u2212" if saved.mean >= 0 else "+"
    text = f"{sign}{abs(saved.mean):.0%}"
    counted = parts["seconds_train"] + parts["seconds_validate"]
    look: Any = {"ha": "center", "weight": "bold", "size": 8.5}
    if counted > 0.15 * longest:
        ax.text(0.95, parts["seconds_train"] / 2, text, va="center", color="white", **look)
    else:
        ax.text(1, parts.sum() + 0.02 * longest, text, **look)


def _paper(
    ax: Axes, records: Records, means: dict[str, pd.Series], unit: float, reference: Reference
) -> bool:
    """Mark the paper's share beside the bar of PRDP, and return whether there is one."""
    first = records.summaries.iloc[0]
    share = reference.share(f"wall_clock.{first['physics']}")
    if share is None or "converged" not in means or "PRDP" not in means:
        return False
    y = (1 - share) * float(means["converged"][["seconds_train", "seconds_validate"]].sum()) / unit
    ax.plot([0.62, 1.5], [y, y], color="black", linewidth=0.7, linestyle=(0, (2, 2)), zorder=5)
    style.hover(ax.plot(1.58, y, "<", color="black", markersize=4), f"paper: {share:.0%} saved")
    text = f"paper\n\u2212{share:.0%}" if share else "paper\n0%"
    ax.text(1.68, y, text, va="center", size=6.5, color=style.NEUTRAL)
    return True


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
def fig_24(records: Records, reference: Reference) -> Figure:
    """Draw the training time of every physics, with a panel of its own for dense matrices."""
    found: dict[str, Records] = {}
    for runs in panels(records, ("fig_24", "table_1", FAST)).values():
        dense = runs.where(solver__operator="dense")
        others = runs.keep(~runs.summaries["run"].isin(dense.summaries["run"]))
        parts = {name_of(runs): others, f"{name_of(runs)} (dense matrix)": dense}
        found |= {title: part for title, part in parts.items() if len(part.summaries)}
    columns = min(len(found), 3)
    rows = math.ceil(len(found) / columns)
    figure = style.canvas(max(2.4 * columns, 2.4), 2.7 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (title, runs) in zip(axes, found.items(), strict=False):
        draw_seconds(ax, runs, title, reference)
    for ax in axes[len(found) :]:
        ax.set_axis_off()
    grey = style.NEUTRAL
    handles = [
        Patch(facecolor=grey, label="training"),
        Patch(facecolor=grey, alpha=0.5, label="validation"),
        Patch(facecolor="none", edgecolor=grey, linestyle=":", label="compilation"),
        Patch(facecolor="white", edgecolor=grey, hatch="////", label="not timed alone"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure
