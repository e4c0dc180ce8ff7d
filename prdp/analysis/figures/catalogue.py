"""The figures that are drawn from records: the paper's, the rivals, and own runs."""

from prdp.analysis.figures.ablations import fig_13, fig_26
from prdp.analysis.figures.base import FAST, FigureSpec
from prdp.analysis.figures.decisions import fig_5
from prdp.analysis.figures.expressiveness import fig_25
from prdp.analysis.figures.fan import fig_4, fig_6, fig_8, fig_10
from prdp.analysis.figures.inverse import fig_3, fig_15
from prdp.analysis.figures.own import own
from prdp.analysis.figures.rivals import rivals
from prdp.analysis.figures.savings import fig_2, fig_7
from prdp.analysis.figures.tradeoff import EXPERIMENTS, tradeoff
from prdp.analysis.figures.wall_clock import fig_24
from prdp.analysis.records import OWN

_BAND = "Lines are means over the seeds, bands one standard deviation."
_FAN = (
    "Validation error at constant K (light: coarse, dark: converged) and with PRDP (orange). "
    f"{_BAND} Beneath: the K of every PRDP run (thin) and their median (thick)."
)
_BARS = (
    "IC: saved by ending at a K below K_epsilon (incomplete convergence). PR: saved by raising K step by step "
    "(progressive refinement). Means over the finished seeds; the error bar is one standard deviation."
)

_SPECS = (
    FigureSpec(
        "fig_2",
        "PRDP at a glance: Navier-Stokes",
        ("fig_2", FAST),
        fig_2,
        "(a) Validation error, (b) inner iterations, (c) if runs were timed alone, wall-clock time of a run (dark: "
        f"training, pale: validation, dotted: compilation). {_BAND} {_BARS}",
    ),
    FigureSpec(
        "fig_3",
        "Progressive refinement of the Poisson inverse problem",
        ("fig_3", FAST),
        fig_3,
        "Relative parameter error, K and cumulative inner iterations over the outer updates. Dots mark the first "
        "update of each run with the common error; percentages are the iterations saved up to there.",
    ),
    FigureSpec(
        "fig_4",
        "Incomplete convergence: Heat 1D at constant K",
        ("fig_4", FAST),
        fig_4,
        f"Left: validation error by constant K. {_BAND} Right: the final error; K_max is the lowest K whose mean is "
        "within one standard deviation of that of K_epsilon (shaded).",
    ),
    FigureSpec(
        "fig_5",
        "What PRDP decides, and why",
        ("fig_5", "fig_6", FAST),
        fig_5,
        "One run. At a plateau (r above tau_step), K rises if r_c is below tau_stop (the last refinement helped) or "
        "above 1 (the error grew). Otherwise K is kept.",
    ),
    FigureSpec("fig_6", "PRDP over the fan of constant K: heat", ("fig_6", FAST), fig_6, _FAN),
    FigureSpec("fig_7", "Inner iterations saved: heat", ("fig_7", FAST), fig_7, _BARS),
    FigureSpec("fig_8", "PRDP for Burgers", ("fig_8", FAST), fig_8, f"{_FAN} {_BARS}"),
    FigureSpec("fig_10", "PRDP for Navier-Stokes", ("fig_10", FAST), fig_10, f"{_FAN} {_BARS}"),
    FigureSpec(
        "fig_13",
        "Refining by iterations and by tolerance",
        ("fig_13",),
        fig_13,
        f"Validation error, mean number of iterations that a solve executed, and the solver's tolerance. {_BAND} "
        "Tolerances: every run thin, their median thick.",
    ),
    FigureSpec(
        "fig_15",
        "The six Poisson inverse problems",
        ("fig_15", "table_4_1", FAST),
        fig_15,
        "As figure 3, for both numbers of parameters, both solvers and both differentiation modes.",
    ),
    FigureSpec(
        "fig_24",
        "Training time, converged and with PRDP",
        ("fig_24", "table_1", FAST),
        fig_24,
        "Mean wall-clock time of runs during which other processes took at most 5 % of CPU time. Percentages compare "
        "training and validation. Compilation is shown but not counted, because it depends on caches.",
    ),
    FigureSpec(
        "fig_25",
        "Savings and the size of the network",
        ("fig_25",),
        fig_25,
        "Heat 1D with networks of several widths: final validation error and iterations saved (total, by incomplete "
        "convergence and by progressive refinement) over the number of parameters. Means and standard deviations over "
        "the seeds. The dashed line has the slope -1/5; its height is fitted.",
    ),
    FigureSpec(
        "fig_26",
        "Driven by the validation error or by the training loss",
        ("fig_26",),
        fig_26,
        f"Validation error and K of PRDP for either metric. {_BAND} Beneath: every run thin, the median thick.",
    ),
    FigureSpec(
        "savings_accuracy",
        "Final error over iterations saved",
        EXPERIMENTS,
        tradeoff,
        "Error after training, relative to the mean of the converged runs, over the share of iterations saved. "
        "Circles: fixed K, labelled (dark: converged). Diamonds: PRDP, seeds small, their mean large. Bars are one "
        "standard deviation. Below and to the right is better.",
    ),
    FigureSpec(
        "rivals",
        "PRDP and its rivals: error over cost",
        ("rivals", OWN),
        rivals,
        "Medians over the seeds with their 95 % bootstrap intervals. Below and to the left is better. The line is "
        "the Pareto front: rivals that no other beats in both. Points at the upper edge have their error beside "
        "them. Labels without room are left out; the table has them. Poisson has no seeds and shows the cost up to a "
        "common parameter error.",
    ),
    FigureSpec(
        "own",
        "Own runs: runs that no preset of the suite names",
        (OWN,),
        own,
        f"Validation error and K of every configuration that was run outside the presets. {_BAND} Dark purple: "
        "converged. Beneath: the K of every run (thin) and their median (thick). Savings are shares of the converged "
        "iterations.",
    ),
)
FIGURES = {spec.name: spec for spec in _SPECS}
