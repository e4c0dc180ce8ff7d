"""Validation error by fixed K with PRDP drawn over it, and the K of PRDP beneath (figures 4, 6, 8 and 10)."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from prdp.analysis.comparison import tidy
from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, name_of, panels, seeds_of
from prdp.analysis.figures.curves import draw_errors, draw_staircases
from prdp.analysis.figures.savings import draw_savings
from prdp.analysis.quantities import fan, sufficient
from prdp.analysis.quantities.errors import Level
from prdp.analysis.records import Records


def fixed_levels(records: Records) -> dict[int, Records]:
    """Return the runs with a constant K, by K."""
    fixed = records.where(schedule="fixed")
    levels = sorted(fixed.summaries["iterations_final"].unique()) if len(fixed.summaries) else []
    return {int(k): fixed.where(iterations_final=k) for k in levels}


def converged_level(records: Records) -> int:
    """Return K_epsilon."""
    return int(records.summaries["converged_iterations"].max())


def draw_fan(ax: Axes, records: Records, *, prdp: bool = True) -> None:
    """Draw the validation error of every fixed K, and of PRDP."""
    levels, converged = fixed_levels(records), converged_level(records)
    parts: list[tuple[Records, dict[str, Any]]] = []
    for level, runs in levels.items():
        colour = style.level_colour(level, converged)
        parts.append((runs, {"color": colour, "linewidth": 1.6 if level == converged else 1.0}))
    if prdp:
        look = {"color": style.PRDP, "linewidth": 1.5, "zorder": 4, "label": "PRDP"}
        parts.append((records.where(schedule="prdp"), look))
    draw_errors(ax, parts)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right", bbox_to_anchor=(1.0, 0.97))
    title = f"{name_of(records)}, {seeds_of(records)}"
    top = style.level_strip(ax, list(levels), converged) if levels else ax
    top.set_title(title, pad=4)


def draw_levels(ax: Axes, records: Records) -> None:
    """Draw K over the epochs of every PRDP run, and K_epsilon as a line."""
    converged = converged_level(records)
    refined = records.where(schedule="prdp")
    if len(refined.summaries):
        draw_staircases(ax, refined, color=style.PRDP)
    ax.axhline(converged, color=style.CONVERGED, linewidth=1.0, linestyle="--")
    ax.text(
        0.01,
        converged * 0.97,
        rf"$K_\epsilon$ = {converged}",
        transform=ax.get_yaxis_transform(),
        va="top",
        size=7,
        color=style.CONVERGED,
    )
    ax.set_ylim(0, converged * 1.08)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _column(error: Axes, levels: Axes, records: Records) -> None:
    draw_fan(error, records)
    draw_levels(levels, records)
    levels.set_xlabel("epoch")
    levels.set_xlim(0, records.histories["epoch"].max())


@style.styled
def fig_6(records: Records) -> Figure:
    """Draw the three heat equations in columns."""
    found = panels(records, ("fig_6", FAST), ("heat1d", "heat2d", "heat3d"))
    figure = style.canvas(style.WIDTH * len(found), 3.7)
    axes = figure.subplots(2, len(found), sharex="col", height_ratios=(2.2, 1), squeeze=False)
    for (error, levels), runs in zip(axes.T, found.values(), strict=True):
        _column(error, levels, runs)
    axes[0, 0].set_ylabel("validation error")
    axes[1, 0].set_ylabel("iterations K")
    figure.align_ylabels(axes[:, 0])
    return figure


def _with_bars(records: Records, experiment: str, physics: str) -> Figure:
    runs = panels(records, (experiment, FAST), (physics,))[physics]
    figure = style.canvas(style.WIDTH * 1.65, 3.7)
    axes = figure.subplot_mosaic(
        [["error", "bars"], ["levels", "bars"]], height_ratios=(2.2, 1), width_ratios=(1.7, 1)
    )
    axes["levels"].sharex(axes["error"])
    axes["error"].tick_params(labelbottom=False)
    _column(axes["error"], axes["levels"], runs)
    axes["error"].set_ylabel("validation error")
    axes["levels"].set_ylabel("iterations K")
    figure.align_ylabels([axes["error"], axes["levels"]])
    draw_savings(axes["bars"], runs)
    return figure


@style.styled
def fig_8(records: Records) -> Figure:
    """Draw Burgers: fan, K and savings."""
    return _with_bars(records, "fig_8", "burgers")


@style.styled
def fig_10(records: Records) -> Figure:
    """Draw Navier-Stokes: fan, K and savings."""
    return _with_bars(records, "fig_10", "navier_stokes")


@style.styled
def fig_4(records: Records) -> Figure:
    """Draw Heat 1D at constant K: error over epochs, and the final error by K."""
    runs = panels(records, ("fig_4", FAST), ("heat1d",), schedule="fixed")["heat1d"]
    figure = style.canvas(style.WIDTH * 2, 2.9)
    left, right = figure.subplots(1, 2)
    draw_fan(left, runs, prdp=False)
    left.set(xlabel="epoch", ylabel="validation error", xlim=(0, runs.histories["epoch"].max()))
    draw_final_errors(right, runs)
    return figure


def draw_final_errors(ax: Axes, records: Records) -> None:
    """Draw the final error by K, with K_epsilon's as a band and K_max marked."""
    converged, runs = converged_level(records), tidy(records)
    errors = {k: error for k, error in fan(runs).items() if not error.diverged}
    for level, error in errors.items():
        colour = style.level_colour(level, converged)
        if error.std is not None:
            # On a logarithmic axis the bar may not reach zero.
            bar = [[min(error.std, 0.9 * error.mean)], [error.std]]
            ax.errorbar(level, error.mean, yerr=bar, color=colour, capsize=2, linewidth=1.0)
        ax.plot(
            level, error.mean, "o", color=colour, markersize=5, markeredgecolor="black", markeredgewidth=0.4
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
        _mark_sufficient(ax, enough)


def _mark_sufficient(ax: Axes, enough: Level) -> None:
    ax.axvline(enough.level, color=style.NEUTRAL, linewidth=0.8, linestyle=":")
    text = rf"$K_\mathrm{{max}}$ = {enough.level}:" + f"\n{enough.savings:.0%} IC savings\n"
    ax.annotate(
        text + rf"against $K_\epsilon$ = {enough.converged}",
        (enough.level, 0.95),
        xycoords=("data", "axes fraction"),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        size=7,
    )
