"""Final validation errors: table 1, and the fan of fixed levels."""

import pandas as pd

from prdp.analysis.quantities import excess, sufficient
from prdp.analysis.records import OWN, Records
from prdp.analysis.tables.cells import EMPTY, Paper, case_of, change, groups, printed, runs_of, seeds_note
from prdp.analysis.tables.table import NothingToShow, Table

# Column of the summaries -> its header.
READINGS = {
    "val_error_previous_step_final": "divided by the previous step",
    "val_error_step_1_final": "t = 1",
    "val_error_step_2_final": "t = 2",
    "val_error_step_5_final": "t = 5",
}
NOTES = [
    "Errors are multiplied by 100: mean ± one standard deviation over seeds, and median (95 % bootstrap interval).",
    "Eq. 56 divides by the reference at the same step (t = 2 for heat, t = 5 for Burgers and Navier-Stokes), the "
    "released code by the reference at the previous step (results/differences.md, Table 1).",
]


_READINGS = (
    "results/differences.md explains each reading: the epochs of Heat 1D (F.2: 70; released code: 100), the initial "
    "conditions of Heat 2D (data.form), and the reference of the adjoint's tolerance for Navier-Stokes."
)


def table_1(records: Records, paper: Paper) -> Table:
    """Return the errors of converged and PRDP trainings."""
    runs = runs_of(records, "table_1", "fast", OWN)
    runs = runs[runs["is_converged"] | (runs["schedule"] != "fixed")]
    if runs.empty:
        raise NothingToShow("no run of table_1")
    rows = []
    for group in groups(runs):
        case = case_of(group, runs)
        arm = "converged" if group.first["is_converged"] else group.first["schedule"]
        rows.append(
            {
                "problem": group.name,
                "schedule": group.first["arm"],
                "seeds": group.seeds,
                "paper": printed(paper, f"error.{group.first['physics']}.{arm}", group),
                "eq. 56": group.error(),
                "median": group.median(),
                **{header: group.error(column) for column, header in READINGS.items()},
                "against converged, %": EMPTY
                if arm == "converged"
                else change(excess(group.runs, case[case["is_converged"]])),
            }
        )
    notes = [
        *NOTES,
        "Against converged: mean difference by seed, relative to the converged error (95 % bootstrap interval).",
    ]
    return Table("Final validation errors (table 1)", pd.DataFrame(rows), [*notes, *seeds_note(runs)])


def levels(records: Records, paper: Paper) -> Table:
    """Return the errors by fixed level, and K_max by the rule."""
    runs = runs_of(records, "fig_4", "fig_6", "fig_8", "fig_10", "fast", OWN)
    found = {case: sufficient(group) for case, group in runs.groupby("case")}
    rows = []
    for group in groups(runs):
        level = found[group.first["case"]] if group.first["schedule"] == "fixed" else None
        k_max = level is not None and level.level == group.first["iterations_final"]
        rows.append(
            {
                "problem": group.name,
                "schedule": group.first["arm"] + (" (K_max)" if k_max else ""),
                "seeds": group.seeds,
                "savings %": group.percent("savings"),
                "eq. 56": group.error(),
                "median": group.median(),
                "divided by the previous step": group.error("val_error_previous_step_final"),
            }
        )
    notes = [
        NOTES[0],
        "K_max: the lowest fixed K whose mean error is at most one standard deviation (of the runs at K_eps) above the "
        f"mean error at K_eps. The paper reports {printed(paper, 'fig_4.level')} for Heat 1D.",
    ]
    return Table(
        "Errors by fixed number of iterations (figures 4, 6, 8, 10)",
        pd.DataFrame(rows),
        [*notes, *seeds_note(runs)],
    )


def readings(records: Records, paper: Paper) -> Table:
    """Return the results of alternative readings of the paper, and of the default ones."""
    physics = records.of("readings").summaries.get("physics", pd.Series(dtype=object)).unique()
    runs = runs_of(records, "readings", "table_1")
    runs = runs[runs["physics"].isin(physics) & (runs["is_converged"] | (runs["schedule"] != "fixed"))]
    if runs.empty:
        raise NothingToShow("no run of readings")
    rows = [
        {
            "problem": group.name,
            "schedule": group.first["arm"],
            "seeds": group.seeds,
            "savings %": group.percent("savings"),
            "IC + PR %": group.percent("savings_incomplete_convergence")
            + " + "
            + group.percent("savings_progressive_refinement"),
            "final K": group.range(),
            "eq. 56": group.error(),
            **{header: group.error(column) for column, header in READINGS.items()},
        }
        for group in groups(runs)
    ]
    return Table(
        "Readings of the paper (the Poisson ones are in the table of figure 3)",
        pd.DataFrame(rows),
        [*NOTES, _READINGS, *seeds_note(runs)],
    )
