"""Inner iterations of the converged baseline and of PRDP, with the savings by kind (figures 2, 7, 8 and 10)."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.comparison import finished
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, converged, name_of, panels, seeds_of
from prdp.analysis.figures.curves import draw_errors
from prdp.analysis.figures.wall_clock import alone, draw_seconds
from prdp.analysis.quantities import savings
from prdp.analysis.records import Records


class Bar(NamedTuple):
    """Inner iterations of a training, means over runs. The last three add up to the first.

    Attributes:
        converged: at K_epsilon throughout.
        used: by PRDP.
        spread: standard deviation of `used` over the runs, 0 for one run.
        progressive: saved by progressive refinement.
        incomplete: saved by incomplete convergence.
    """

    converged: float
    used: float
    spread: float
    progressive: float
    incomplete: float


def count(records: Records) -> Bar | None:
    """Return the iterations of the finished PRDP runs; null if there is none."""
    runs = finished(records.where(schedule="prdp").summaries)
    if runs.empty:
        return None
    whole, saved = float(runs["iterations_converged_total"].mean()), savings(runs)
    return Bar(
        whole,
        whole * (1 - saved.total.mean),
        whole * (saved.total.std or 0.0),
        whole * saved.progressive.mean,
        whole * saved.incomplete.mean,
    )


def draw_savings(ax: Axes, records: Records, title: str = "") -> None:
    """Draw two bars: converged, and PRDP with its savings stacked on top."""
    saved = count(records)
    if saved is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no PRDP run finished", ha="center", va="center", transform=ax.transAxes)
        return
    unit, suffix = (1e3, "thousand") if saved.converged >= 1e4 else (1.0, "")
    heights = [h / unit for h in (saved.used, saved.progressive, saved.incomplete)]
    whole = saved.converged / unit
    ax.bar(0, whole, color=style.CONVERGED, width=0.8)
    faces = (
        (style.PRDP, None, "white"),
        (style.PROGRESSIVE, "....", "black"),
        (style.INCOMPLETE, "////", "black"),
    )
    names = ("used", "PR savings", "IC savings")
    bottom = 0.0
    for height, name, (colour, hatch, ink) in zip(heights, names, faces, strict=True):
        ax.bar(
            1, height, bottom=bottom, color=colour, hatch=hatch, width=0.8, edgecolor="white", linewidth=0.5
        )
        _label(ax, bottom, height, whole, name, ink)
        bottom += height
    if saved.spread:
        ax.errorbar(1.32, heights[0], yerr=saved.spread / unit, color="black", capsize=2, linewidth=0.8)
    ax.text(
        1, whole * 1.02, f"\u2212{1 - saved.used / saved.converged:.0%}", ha="center", weight="bold", size=8.5
    )
    ax.set_xticks([0, 1], [f"converged\nK = {_level(records)}", f"PRDP{_diverged(records)}"])
    ax.tick_params(axis="x", length=0)
    ax.set(ylim=(0, whole * 1.12), xlim=(-0.5, 1.55), ylabel=f"inner iterations, {suffix}".rstrip(", "))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_title(title, pad=4)


def _label(ax: Axes, bottom: float, height: float, whole: float, name: str, ink: str) -> None:
    share = height / whole
    if share < 0.06:
        return
    text = f"{name}\n{share:.0%}" if share > 0.13 else f"{name.split()[0]} {share:.0%}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85} if ink == "black" else None
    ax.text(1, bottom + height / 2, text, ha="center", va="center", size=6.5, color=ink, bbox=box)


def _diverged(records: Records) -> str:
    status = records.where(schedule="prdp").summaries["status"]
    diverged = int((status == "diverged").sum())
    return f"\n({diverged} of {len(status)} diverged)" if diverged else ""


def _level(records: Records) -> str:
    levels = records.summaries["converged_iterations"].unique()
    return " or ".join(str(int(k)) for k in sorted(levels))


@style.styled
def fig_7(records: Records) -> Figure:
    """Draw the savings of the three heat equations."""
    found = panels(records, ("fig_7", FAST), ("heat1d", "heat2d", "heat3d"), schedule="prdp")
    figure = style.canvas(2.2 * len(found), 2.7)
    for ax, runs in zip(figure.subplots(1, len(found), squeeze=False)[0], found.values(), strict=True):
        draw_savings(ax, runs, f"{name_of(runs)}, {seeds_of(runs)}")
    return figure


@style.styled
def fig_2(records: Records) -> Figure:
    """Draw Navier-Stokes at a glance: error, iterations, and time if runs were timed alone."""
    runs = panels(records, ("fig_2", FAST), ("navier_stokes",))["navier_stokes"]
    figure = style.canvas(style.WIDTH * 2.2, 2.7)
    timed = alone(runs)
    widths = (1.35, 1, 1) if len(timed.summaries) else (1.35, 1)
    error, bars, *time = figure.subplots(1, len(widths), width_ratios=widths)
    kinds = {
        "converged": (converged(runs), style.CONVERGED),
        "PRDP": (runs.where(schedule="prdp"), style.PRDP),
    }
    draw_errors(error, [(part, {"color": colour, "label": name}) for name, (part, colour) in kinds.items()])
    if error.lines:
        error.legend(loc="upper right")
    error.set(xlabel="epoch", ylabel="validation error", xlim=(0, runs.histories["epoch"].max()))
    error.set_title(f"(a) {name_of(runs)}, {seeds_of(runs)}", pad=4)
    draw_savings(bars, runs, "(b) iterations")
    for ax in time:
        draw_seconds(ax, timed, "(c) time")
    return figure
