"""PRDP by tolerance (figure 13), by network size (figure 25) and on the training loss (figure 26)."""

import pandas as pd

from prdp.analysis.quantities import QUANTITIES, Selection, excess, matvecs_saved, parameters
from prdp.analysis.records import Records
from prdp.analysis.tables.cells import (
    EMPTY,
    Group,
    Paper,
    case_of,
    change,
    groups,
    printed,
    runs_of,
    seeds_note,
    spread,
)
from prdp.analysis.tables.table import NothingToShow, Table


def fig_13(records: Records, paper: Paper) -> Table:
    """Return refining by iterations beside refining by tolerance."""
    runs = runs_of(records, "fig_13", "table_1")
    runs = runs.assign(matvecs_saved=matvecs_saved(runs))
    with_tolerance = runs.loc[runs["schedule"] == "tolerance_prdp", "case"]
    runs = runs[runs["case"].isin(with_tolerance) & (runs["schedule"] != "fixed")]
    rows = [
        {
            **_head(group),
            "iterations executed, saved %": group.percent("executed_savings"),
            "products saved %": group.percent("matvecs_saved"),
            "error x1e-2": group.error(),
            "against PRDP by iterations, %": _change(group, runs, "tolerance_prdp"),
        }
        for group in groups(runs)
    ]
    notes = [
        "Refinement by tolerance has no K, so both are counted by the iterations that their solves executed. The "
        "baseline takes K_eps iterations in every solve.",
        "The paper calls both equivalent (Navier-Stokes).",
        _CHANGE,
    ]
    return _table("Refining by iterations and by tolerance (figure 13)", rows, notes, runs)


def fig_26(records: Records, paper: Paper) -> Table:
    """Return PRDP driven by the validation error beside PRDP driven by the training loss."""
    runs = runs_of(records, "fig_26")
    runs = runs[runs["schedule"] == "prdp"]
    rows = [
        {
            **_head(group),
            "savings %": group.percent("savings"),
            "IC %": group.percent("savings_incomplete_convergence"),
            "PR %": group.percent("savings_progressive_refinement"),
            "mean K": spread(group.describe("iterations_mean"), 1, 1),
            "final K": spread(group.describe("iterations_final"), 1, 1),
            "error x1e-2": group.error(),
            "against the validation error, %": _change(group, runs, "train_loss"),
        }
        for group in groups(runs)
    ]
    notes = [
        "On the training loss, the paper reports slower refinement, slightly more PR savings, comparable IC savings "
        "and comparable accuracy, without numbers.",
        _CHANGE,
    ]
    return _table("PRDP driven by validation error and by training loss (figure 26)", rows, notes, runs)


def fig_25(records: Records, paper: Paper) -> Table:
    """Return savings and errors of Heat 1D by the size of its network."""
    runs = runs_of(records, "fig_25")
    runs = runs[runs["is_converged"] | (runs["schedule"] == "prdp")]
    rows = [
        {
            "width": f"{int(group.first['model.width'])}",
            "parameters": f"{parameters(group.runs):,}",
            "schedule": group.first["arm"],
            "seeds": group.seeds,
            "savings %": group.percent("savings"),
            "IC %": group.percent("savings_incomplete_convergence"),
            "PR %": group.percent("savings_progressive_refinement"),
            "final K": group.range(),
            "error x1e-2": group.error(),
        }
        for group in groups(runs.sort_values("model.width"))
    ]
    ours = QUANTITIES["size_exponent"](Selection(runs, records))
    exponent = EMPTY if ours is None else spread(ours, 1, 3)
    notes = [
        f"Error of PRDP over the number of parameters n: n^p with p = {exponent}, fitted by seed (paper: about "
        f"{printed(paper, 'fig_25.exponent')}); savings in the paper: about {printed(paper, 'fig_25.savings')} %."
    ]
    return _table("Savings and network size, Heat 1D (figure 25)", rows, notes, runs)


_CHANGE = "Against: mean difference of the final error by seed, relative to the other arm's (95 % bootstrap interval)."


def _head(group: Group) -> dict[str, str]:
    return {"problem": group.name, "schedule": group.first["arm"], "seeds": group.seeds}


def _change(group: Group, runs: pd.DataFrame, which: str) -> str:
    """Return the change of the error against PRDP on the validation error; empty for PRDP itself."""
    if which not in (group.first["schedule"], group.first["metric"]):
        return EMPTY
    case = case_of(group, runs)
    return change(excess(group.runs, case[(case["schedule"] == "prdp") & (case["metric"] == "val_error")]))


def _table(title: str, rows: list[dict[str, str]], notes: list[str], runs: pd.DataFrame) -> Table:
    if not rows:
        raise NothingToShow(f"no run of {title}")
    return Table(title, pd.DataFrame(rows), [*notes, *seeds_note(runs)])
