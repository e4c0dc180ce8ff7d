"""The figures that are drawn from records: the paper's, the rivals, and own runs."""

from prdp.analysis.figures.ablations import fig_13, fig_26
from prdp.analysis.figures.base import FAST, FigureSpec
from prdp.analysis.figures.decisions import fig_5
from prdp.analysis.figures.expressiveness import fig_25
from prdp.analysis.figures.fan import fig_6, fig_8, fig_10
from prdp.analysis.figures.glance import fig_2
from prdp.analysis.figures.gradients import gradients
from prdp.analysis.figures.inverse import fig_3, fig_15
from prdp.analysis.figures.oracle import EXPERIMENTS as SEARCHED
from prdp.analysis.figures.oracle import oracle
from prdp.analysis.figures.own import own
from prdp.analysis.figures.ranking import ranking
from prdp.analysis.figures.rivals import rivals
from prdp.analysis.figures.savings import fig_7
from prdp.analysis.figures.sufficiency import fig_4
from prdp.analysis.figures.tradeoff import EXPERIMENTS, tradeoff
from prdp.analysis.figures.wall_clock import fig_24
from prdp.analysis.records import OWN

_BAND = "Lines are means over the seeds, bands one standard deviation."
_FAN = (
    "Validation error at constant K (light: coarse, dark: converged) and with PRDP (orange), over the seeds that all "
    f"lines of a panel have. {_BAND} Below: the mean errors divided by the mean converged error, and by how much PRDP "
    "exceeds it at the end over its n seeds (95 % interval). Beneath: the K of every PRDP run (thin) and their lower "
    "median (thick)."
)
_BARS = (
    "IC: saved by ending at a K below K_epsilon (incomplete convergence). PR: saved by raising K step by step "
    "(progressive refinement). Means over the finished seeds; the error bar is the 95 % interval of the mean of what "
    "PRDP uses. Triangles mark the paper's total and IC savings."
)
_ACCOUNTS = (
    "Savings by two accounts. Dots: up to the first update of each run with the common error. Ticks: the paper's, "
    "which charges one parameter up to update 125 (converged), 145 (manual) and 170 (PRDP), and three parameters all "
    "updates."
)
_RIVALS = (
    "Medians over the seeds with their 95 % intervals, which need six seeds. Seconds are shown only of runs that were "
    "timed alone on one commit."
)

_SPECS = (
    FigureSpec(
        "fig_2",
        "PRDP at a glance: Navier-Stokes",
        ("fig_2", FAST),
        fig_2,
        "(a) Validation error, (b) inner iterations, (c) wall-clock time of a run (dark: training, pale: validation, "
        "dotted: compilation; hollow: the run shared the machine, so that its seconds cannot be compared). "
        f"{_BAND} {_BARS}",
    ),
    FigureSpec(
        "fig_3",
        "Progressive refinement of the Poisson inverse problem",
        ("fig_3", FAST),
        fig_3,
        f"Relative parameter error, K and cumulative inner iterations over the outer updates. {_ACCOUNTS}",
    ),
    FigureSpec(
        "fig_4",
        "Incomplete convergence: Heat 1D at constant K",
        ("fig_4", FAST),
        fig_4,
        f"Left: validation error by constant K. {_BAND} Right: the final error, mean and one standard deviation; "
        "shaded: that of K_epsilon. Lines mark the lowest sufficient K, K_max, by the suite's rule and in the paper.",
    ),
    FigureSpec(
        "fig_5",
        "What PRDP decides, and why",
        ("fig_5", "fig_6", FAST),
        fig_5,
        "One run. At a plateau (r above tau_step), K rises if r_c is below tau_stop (the last refinement helped) or "
        "above 1 (the error grew). Otherwise K is kept. Before the first refinement there is no r_c: PRDP refines at "
        "the first plateau.",
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
        f"Validation error, mean number of iterations that a solve executed, and the tolerance. {_BAND} Tolerances: "
        "every run thin, their lower median thick; PRDP by iterations keeps its solver's tolerance and has no line.",
    ),
    FigureSpec(
        "fig_15",
        "The six Poisson inverse problems",
        ("fig_15", "table_4_1", FAST),
        fig_15,
        f"As figure 3, for both numbers of parameters, both solvers and both differentiation modes. {_ACCOUNTS}",
    ),
    FigureSpec(
        "fig_24",
        "Training time, converged and with PRDP",
        ("fig_24", "table_1", FAST),
        fig_24,
        "Mean wall-clock time of n runs on one device during which other processes took at most 5 % of CPU time. Error "
        "bars: 95 % interval of the mean of training and validation, which the shares saved compare by seed (in "
        "brackets: 95 % interval). Compilation is shown but not counted, because it depends on caches. Triangles: the "
        "paper's savings. Hollow: runs that shared the machine. In blocks: all runs of one arm were timed before those "
        "of the other, so that a drift of the machine's speed is in the difference.",
    ),
    FigureSpec(
        "fig_25",
        "Savings and the size of the network",
        ("fig_25",),
        fig_25,
        "Heat 1D with networks of several widths: final validation error and iterations saved (total, by incomplete "
        "convergence and by progressive refinement). Medians over the seeds with their 95 % intervals; dots "
        "are single seeds. The dashed line has the paper's slope -1/5; its height is fitted to the converged runs.",
    ),
    FigureSpec(
        "fig_26",
        "Driven by the validation error or by the training loss",
        ("fig_26",),
        fig_26,
        f"Validation error, training loss (mean over the updates of an epoch) and K of PRDP for either metric. {_BAND} "
        "Raising K changes the loss itself. Beneath: every run thin, the lower median thick.",
    ),
    FigureSpec(
        "savings_accuracy",
        "Final error over iterations saved",
        EXPERIMENTS,
        tradeoff,
        "Error after training, relative to the mean of the converged runs, over the share of iterations saved. "
        "Circles: fixed K, labelled (dark: converged). Diamonds: PRDP, seeds small, their mean large. Bars are 95 % "
        "intervals of the mean. Below and to the right is better.",
    ),
    FigureSpec(
        "oracle",
        "PRDP and the best schedules in hindsight",
        SEARCHED,
        oracle,
        "Final validation error over inner iterations, one panel per seed. Black: schedules found by search that no "
        "other found schedule beats; the search minimises the validation error that it reports, so the line is "
        "optimistic, and ends where no better schedule was found. Circles: fixed K, labelled. Higher errors are left "
        "out.",
    ),
    FigureSpec(
        "gradients",
        "The gradient at K iterations against that of exact physics",
        (),
        gradients,
        "Norm of the difference between the gradient of the loss (one minibatch, all parameters of the network) and "
        "the exact one, relative to the exact one, by differentiation mode: before, halfway through and after training "
        "with PRDP. Dashed: the K of PRDP at that time. Double precision. Errors above 100 are drawn at the upper "
        "edge. At 1 the gradient is as wrong as no gradient.",
    ),
    FigureSpec(
        "rivals",
        "PRDP and its rivals: error over cost",
        ("rivals", OWN),
        rivals,
        f"{_RIVALS} Below and to the left is better. The line is the Pareto front: rivals that no other beats in both. "
        "With more than 20 rivals, only the front, PRDP and converged training have names and intervals. Points at "
        "the upper edge have their error beside them.",
    ),
    FigureSpec(
        "ranking",
        "PRDP and its rivals: all of them",
        ("rivals", OWN),
        ranking,
        f"Cheapest first. {_RIVALS} Stars: on the Pareto front of products and error. Dashed: converged training, its "
        "interval shaded. Poisson has no seeds and shows the cost up to a common parameter error.",
    ),
    FigureSpec(
        "own",
        "Own runs: runs that no preset of the suite names",
        (OWN,),
        own,
        f"Validation error and K of every configuration that was run outside the presets. {_BAND} Dark purple: "
        "converged. Beneath: the K of every run (thin) and their lower median (thick). Savings are shares of the "
        "converged iterations. Crosses: where runs diverged.",
    ),
)
FIGURES = {spec.name: spec for spec in _SPECS}
