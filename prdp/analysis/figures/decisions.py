"""One PRDP run as its controller sees it: r, r_c, the thresholds and the decisions (figure 5)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, name_of, panels
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference


def decisions(history: pd.DataFrame, tau_step: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the epochs at which K was raised, and the epochs with a plateau at which K was kept."""
    plateau = history["ratio_step"] > tau_step
    refined = history["refined"].astype(bool)
    return history[refined], history[plateau & ~refined]


def known_ratio(history: pd.DataFrame) -> pd.Series:
    """Return r_c, NaN until the epoch after the first refinement: before, there is no refinement to compare with."""
    refined = history["refined"].astype(bool)
    return history["ratio_stop"].where(refined.cumsum().shift(fill_value=0) > 0)


@style.styled
def fig_5(records: Records, reference: Reference) -> Figure:
    """Draw the first seed's PRDP run of Heat 1D."""
    runs = panels(records, ("fig_5", "fig_6", FAST), ("heat1d",), schedule="prdp")["heat1d"]
    run = runs.summaries.sort_values("seed").iloc[0]
    history = runs.history(run["run"])
    thresholds = {"step": run["schedule.tau_step"], "stop": run["schedule.tau_stop"]}
    refined, kept = decisions(history, thresholds["step"])

    figure = style.canvas(style.WIDTH * 1.7, 4.3)
    ratios, choices, levels = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 0.5, 1))
    _ratios(ratios, history, thresholds, int(run["schedule.grace_window"]) - 1)
    _decisions(choices, refined, kept)
    x = history["epoch"]
    levels.step(x, history["iterations"], where="pre", color=style.PRDP, linewidth=1.5)
    for epoch in refined["epoch"]:
        for ax in (ratios, choices, levels):
            ax.axvline(epoch, color=style.NEUTRAL, linewidth=0.4, linestyle=":", zorder=0)
    levels.set(xlabel="epoch", ylabel="iterations K", xlim=(0, x.max()))
    levels.set_ylim(bottom=0)
    levels.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ratios.set_title(f"{name_of(runs)}, seed {run['seed']}", pad=4)
    figure.align_ylabels([ratios, levels])
    return figure


def _ratios(ax: Axes, history: pd.DataFrame, thresholds: dict[str, float], before: int) -> None:
    x, stop = history["epoch"], known_ratio(history)
    ax.plot(x, history["ratio_step"], color=style.PRDP, label=f"$r$: against {before} epochs before")
    ax.plot(x, stop, color=style.OTHER, label="$r_c$: against the last refinement")
    for (name, value), colour in zip(thresholds.items(), (style.PRDP, style.OTHER), strict=True):
        ax.axhline(value, color=colour, linewidth=0.8, linestyle="--")
        text = rf"$\tau_\mathrm{{{name}}}$ = {value:g}"
        ax.text(1.01, value, text, color=colour, va="center", size=7, transform=ax.get_yaxis_transform())
    highest = max(history["ratio_step"].max(), stop.max())
    ax.set_ylim(0, min(max(1.15, 1.05 * highest), 2.0))
    ax.set_ylabel("ratio of smoothed\nvalidation errors")
    ax.legend(loc="lower right")


def _decisions(ax: Axes, refined: pd.DataFrame, kept: pd.DataFrame) -> None:
    ax.plot(refined["epoch"], [1] * len(refined), "^", color="black", markersize=5, clip_on=False)
    ax.plot(kept["epoch"], [0] * len(kept), "|", color="black", markersize=7, clip_on=False)
    ax.set(ylim=(-0.7, 1.7))
    ax.set_yticks([1, 0], ["plateau: raise K", "plateau: keep K"], size=6.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
