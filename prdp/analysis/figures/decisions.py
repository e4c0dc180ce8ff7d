"""One PRDP run as its controller sees it: r, r_c, the thresholds and the decisions (figure 5)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, name_of, panels
from prdp.analysis.records import Records


def decisions(history: pd.DataFrame, tau_step: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the epochs at which K was raised, and the epochs with a plateau at which K was kept."""
    plateau = history["ratio_step"] > tau_step
    refined = history["refined"].astype(bool)
    return history[refined], history[plateau & ~refined]


@style.styled
def fig_5(records: Records) -> Figure:
    """Draw the first seed's PRDP run of Heat 1D."""
    runs = panels(records, ("fig_5", "fig_6", FAST), ("heat1d",), schedule="prdp")["heat1d"]
    run = runs.summaries.sort_values("seed").iloc[0]
    history = runs.history(run["run"])
    tau_step, tau_stop = run["schedule.tau_step"], run["schedule.tau_stop"]
    refined, kept = decisions(history, tau_step)

    figure = style.canvas(style.WIDTH * 1.5, 3.9)
    ratios, levels = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    x, before = history["epoch"], int(run["schedule.grace_window"]) - 1
    ratios.plot(x, history["ratio_step"], color=style.PRDP, label=f"$r$: against {before} epochs before")
    ratios.plot(x, history["ratio_stop"], color=style.OTHER, label="$r_c$: against the last refinement")
    for value, colour, name in ((tau_step, style.PRDP, "step"), (tau_stop, style.OTHER, "stop")):
        ratios.axhline(value, color=colour, linewidth=0.8, linestyle="--")
        ratios.text(
            1.02,
            value,
            rf"$\tau_\mathrm{{{name}}}$",
            color=colour,
            va="center",
            transform=ratios.get_yaxis_transform(),
        )
    ratios.plot(
        refined["epoch"], refined["ratio_step"], "^", color="black", markersize=5, label="plateau: refine"
    )
    ratios.plot(
        kept["epoch"],
        kept["ratio_step"],
        "s",
        color="black",
        markerfacecolor="white",
        markersize=4.5,
        clip_on=False,
        label="plateau: keep K, it is adequate",
    )
    ratios.set_ylabel("ratio of smoothed validation errors")
    highest = history[["ratio_step", "ratio_stop"]].max().max()
    ratios.set_ylim(0, min(max(1.15, 1.05 * highest), 2.0))
    ratios.legend(loc="lower right", ncols=2, columnspacing=1.0)
    levels.step(x, history["iterations"], where="pre", color=style.PRDP, linewidth=1.5)
    for epoch in refined["epoch"]:
        for ax in (ratios, levels):
            ax.axvline(epoch, color=style.NEUTRAL, linewidth=0.4, linestyle=":", zorder=0)
    levels.set(xlabel="epoch", ylabel="iterations K", xlim=(0, x.max()))
    levels.set_ylim(bottom=0)
    levels.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ratios.set_title(f"{name_of(runs)}, seed {run['seed']}", pad=4)
    figure.align_ylabels([ratios, levels])
    return figure
