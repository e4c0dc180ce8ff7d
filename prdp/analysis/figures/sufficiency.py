"""The final error at constant K, and the lowest K that suffices (figure 4)."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from prdp.analysis.comparison import tidy
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, panels
from prdp.analysis.figures.fan import converged_level, draw_fan
from prdp.analysis.quantities import fan, sufficient
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference


@style.styled
def fig_4(records: Records, reference: Reference) -> Figure:
    """Draw Heat 1D at constant K: error over epochs, and the final error by K."""
    runs = panels(records, ("fig_4", FAST), ("heat1d",), schedule="fixed")["heat1d"]
    figure = style.canvas(style.WIDTH * 2.1, 2.9)
    left, right = figure.subplots(1, 2)
    draw_fan(left, runs, prdp=False)
    left.set(xlabel="epoch", ylabel="validation error", xlim=(0, runs.histories["epoch"].max()))
    claim = reference.paper.get("fig_4.level")
    draw_final_errors(right, runs, None if claim is None else claim.paper)
    return figure


def draw_final_errors(ax: Axes, records: Records, paper: float | None = None) -> None:
    """Draw the final error by K, with K_epsilon's as a band, our K_max and the paper's marked."""
    converged, runs = converged_level(records), tidy(records)
    errors = {k: error for k, error in fan(runs).items() if not error.diverged}
    for level, error in errors.items():
        colour = style.level_colour(level, converged)
        if error.std is not None:
            # On a logarithmic axis the bar may not reach zero.
            bar = [[min(error.std, 0.9 * error.mean)], [error.std]]
            ax.errorbar(level, error.mean, yerr=bar, color=colour, capsize=2, linewidth=1.0)
        look: Any = {"color": colour, "markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.4}
        spread = "" if error.std is None else f" \u00b1 {error.std:.3g}"
        style.hover(
            ax.plot(level, error.mean, "o", **look),
            f"K = {level}: {error.mean:.3g}{spread}, {error.runs} seeds",
        )
    ax.set(xscale="log", yscale="log", xlabel="iterations K (constant)")
    ax.set_ylabel(f"validation error after {records.summaries['epochs'].max()} epochs")
    ax.xaxis.set_major_locator(FixedLocator(list(errors)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(k) for k in errors])
    if converged in errors:
        mean, std = errors[converged].mean, errors[converged].std
        ax.axhline(mean, color=style.CONVERGED, linewidth=0.8, linestyle="--")
        if std is not None:
            ax.axhspan(mean - std, mean + std, color=style.CONVERGED, alpha=0.12, linewidth=0)
    enough = sufficient(runs)
    if enough is not None:
        text = rf"ours: $K_\mathrm{{max}}$ = {enough.level}:" + f"\n{enough.savings:.0%} IC savings"
        text += f"\n({enough.lowest} not excluded)" if enough.lowest < enough.level else ""
        _mark(ax, float(enough.level), text, 0.97, "-", -1)
    if paper is not None:
        text = rf"paper: $K_\mathrm{{max}}$ = {paper:g}:" + f"\n{1 - paper / converged:.0%} IC savings"
        _mark(ax, paper, text, 0.75, "--", 1)


def _mark(ax: Axes, level: float, text: str, height: float, dashes: str, side: int) -> None:
    ax.axvline(level, color=style.NEUTRAL, linewidth=0.9, linestyle=dashes, zorder=1)
    look: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "size": 6.5}
    align = "left" if side > 0 else "right"
    ax.annotate(text, (level, height), xytext=(4 * side, 0), ha=align, va="top", **look)
