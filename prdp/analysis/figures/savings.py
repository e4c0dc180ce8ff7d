"""Inner iterations of the converged baseline and of PRDP, with the savings by kind and the paper's beside them."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.comparison import finished
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, interval, name_of, panels, seeds_of
from prdp.analysis.quantities import savings
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference

# The distance of the paper's marks from the bar of PRDP.
_MARK = 1.62


class Bar(NamedTuple):
    """Inner iterations of a training, means over runs. `used`, `progressive` and `incomplete` add up to `converged`.

    Attributes:
        converged: at K_epsilon throughout.
        used: by PRDP.
        low: lower end of the 95 % interval of `used`; null for one run.
        high: its upper end.
        progressive: saved by progressive refinement.
        incomplete: saved by incomplete convergence.
    """

    converged: float
    used: float
    low: float | None
    high: float | None
    progressive: float
    incomplete: float


def count(records: Records) -> Bar | None:
    """Return the iterations of the finished PRDP runs; null if there is none."""
    runs = finished(records.where(schedule="prdp").summaries)
    if runs.empty:
        return None
    whole, saved = float(runs["iterations_converged_total"].mean()), savings(runs)
    used = interval(1 - runs["savings"])
    return Bar(
        whole,
        whole * (1 - saved.total.mean),
        None if used.low is None else whole * used.low,
        None if used.high is None else whole * used.high,
        whole * saved.progressive.mean,
        whole * saved.incomplete.mean,
    )


def draw_savings(ax: Axes, records: Records, title: str = "", reference: Reference | None = None) -> None:
    """Draw two bars: converged, and PRDP with its savings stacked on top, and the paper's shares as marks."""
    saved = count(records)
    if saved is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no PRDP run finished", ha="center", va="center", transform=ax.transAxes)
        return
    scale, suffix = (1e3, "thousand") if saved.converged >= 1e4 else (1.0, "")
    heights = [h / scale for h in (saved.used, saved.progressive, saved.incomplete)]
    whole = saved.converged / scale
    style.hover(
        ax.bar(0, whole, color=style.CONVERGED, width=0.8), f"converged: {saved.converged:,.0f} iterations"
    )
    faces = (
        (style.PRDP, None, "white"),
        (style.PROGRESSIVE, "\\\\\\\\", "black"),
        (style.INCOMPLETE, "////", "black"),
    )
    names = ("used", "PR savings", "IC savings")
    bottom = 0.0
    for height, name, (colour, hatch, ink) in zip(heights, names, faces, strict=True):
        look: Any = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.5}
        style.hover(
            ax.bar(1, height, bottom=bottom, width=0.8, **look),
            f"PRDP, {name}: {height * scale:,.0f} iterations ({height / whole:.1%})",
        )
        _label(ax, bottom, height, whole, name, ink)
        bottom += height
    if saved.low is not None and saved.high is not None:
        bar = [[heights[0] - saved.low / scale], [saved.high / scale - heights[0]]]
        ax.errorbar(1.33, heights[0], yerr=bar, color="black", capsize=2, linewidth=0.8)
    ax.text(
        1, whole * 1.02, f"\u2212{1 - saved.used / saved.converged:.0%}", ha="center", weight="bold", size=8.5
    )
    marked = _paper(ax, records, whole, reference or Reference())
    ax.set_xticks([0, 1], [f"converged\nK = {_level(records)}", f"PRDP\nn = {_seeds(records)}"])
    ax.tick_params(axis="x", length=0)
    ax.set(ylim=(0, whole * 1.12), xlim=(-0.5, 2.3 if marked else 1.55))
    ax.set_ylabel(f"inner iterations, {suffix}".rstrip(", "))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_title(title, pad=4)


def _paper(ax: Axes, records: Records, whole: float, reference: Reference) -> bool:
    """Mark the paper's shares beside the bar of PRDP, and return whether there is any."""
    physics = records.summaries["physics"].iloc[0]
    total, incomplete = (reference.share(f"savings.{physics}.{part}") for part in ("total", "incomplete"))
    look: Any = {"va": "center", "size": 6.5, "color": style.NEUTRAL}
    for share, name in ((total, "total"), (incomplete, "IC")):
        if share is not None:
            y = whole * (1 - share)
            ax.plot(
                [0.6, _MARK - 0.08], [y, y], color="black", linewidth=0.7, linestyle=(0, (2, 2)), zorder=5
            )
            mark = ax.plot(_MARK, y, "<", color="black", markersize=4)
            style.hover(mark, f"paper, {name} savings: {share:.0%}")
            ax.text(_MARK + 0.1, y, f"{name}\n\u2212{share:.0%}", **look)
    if total is not None:
        ax.text(_MARK + 0.1, whole * 1.02, "paper", **(look | {"va": "bottom", "weight": "bold"}))
    return total is not None or incomplete is not None


def _label(ax: Axes, bottom: float, height: float, whole: float, name: str, ink: str) -> None:
    share = height / whole
    if share < 0.06:
        return
    text = f"{name}\n{share:.0%}" if share > 0.13 else f"{name.split()[0]} {share:.0%}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85} if ink == "black" else None
    ax.text(1, bottom + height / 2, text, ha="center", va="center", size=6.5, color=ink, bbox=box, zorder=6)


def _seeds(records: Records) -> str:
    status = records.where(schedule="prdp").summaries["status"]
    diverged = int((status == "diverged").sum())
    return f"{len(status) - diverged}" + (f"\n({diverged} of {len(status)} diverged)" if diverged else "")


def _level(records: Records) -> str:
    levels = records.summaries["converged_iterations"].unique()
    return " or ".join(str(int(k)) for k in sorted(levels))


@style.styled
def fig_7(records: Records, reference: Reference) -> Figure:
    """Draw the savings of the three heat equations."""
    found = panels(records, ("fig_7", FAST), ("heat1d", "heat2d", "heat3d"), schedule="prdp")
    figure = style.canvas(2.5 * len(found), 2.7)
    for ax, runs in zip(figure.subplots(1, len(found), squeeze=False)[0], found.values(), strict=True):
        draw_savings(ax, runs, f"{name_of(runs)}, {seeds_of(runs)}", reference)
    return figure
