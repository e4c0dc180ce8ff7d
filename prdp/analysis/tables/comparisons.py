"""PRDP by tolerance (figure 13), by network size (figure 25) and on the training loss (figure 26)."""

import pandas as pd

from prdp.analysis.quantities import QUANTITIES, Selection, matvecs_saved, parameters
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.tables.cells import (
    EMPTY,
    FINAL,
    HEAD,
    PARTS,
    Group,
    against,
    error,
    extent,
    groups,
    number,
    percent,
    printed,
    runs_of,
    spread,
    table,
)
from prdp.analysis.tables.table import Table

_AGAINST = "Against: mean difference of the final error by seed, relative to the other arm's (95 % interval)."


def fig_13(records: Records, reference: Reference) -> Table:
    """Return refinement by iterations and refinement by tolerance."""
    runs = runs_of(records, "fig_13", "table_1")
    runs = runs.assign(matvecs_saved=matvecs_saved(runs))
    tolerance = runs["schedule"] == "tolerance_prdp"
    runs = runs[runs["case"].isin(runs.loc[tolerance, "case"]) & (runs["schedule"] != "fixed")]
    prdp = runs[(runs["schedule"] == "prdp") & (runs["metric"] == "val_error")]
    columns = {
        **HEAD,
        "iterations executed, saved %": percent("executed_savings"),
        "products saved %": percent("matvecs_saved"),
        "error x1e-2": error(),
        "against PRDP by iterations, %": lambda group: (
            against(group, prdp) if group.first["schedule"] == "tolerance_prdp" else EMPTY
        ),
    }
    notes = [
        "Refinement by tolerance has no K, so both are counted by the iterations that their solves executed. The "
        "baseline takes K_eps iterations in every solve.",
        "The paper calls both equivalent (Navier-Stokes).",
        _AGAINST,
    ]
    return table("Refining by iterations and by tolerance (figure 13)", runs, columns, notes)


def fig_26(records: Records, reference: Reference) -> Table:
    """Return PRDP on the validation error and on the training loss."""
    runs = runs_of(records, "fig_26")
    runs = runs[runs["schedule"] == "prdp"]
    prdp = runs[runs["metric"] == "val_error"]
    columns = {
        **HEAD,
        "savings %": percent("savings"),
        **PARTS,
        "mean K": number("iterations_mean"),
        "final K": number("iterations_final"),
        "error x1e-2": error(),
        "against the validation error, %": lambda group: (
            against(group, prdp) if group.first["metric"] == "train_loss" else EMPTY
        ),
    }
    notes = [
        "On the training loss, the paper reports slower refinement, slightly more PR savings, comparable IC savings "
        "and comparable accuracy, without numbers.",
        _AGAINST,
    ]
    return table("PRDP driven by validation error and by training loss (figure 26)", runs, columns, notes)


# A seed whose error is this many times the median of its arm is named.
_FAR = 10


def _far(group: Group) -> pd.DataFrame:
    errors = group.done["val_error_final"]
    return group.done[errors > _FAR * errors.median()]


def _apart(group: Group) -> str:
    middle = group.done["val_error_final"].median()
    seeds = ", ".join(
        f"seed {int(run['seed'])} ends at K = {int(run['iterations_final'])} with an error of "
        f"{100 * run['val_error_final']:.1f}, {run['val_error_final'] / middle:.0f} times the median"
        for run in _far(group).to_dict("records")
    )
    return f"Width {int(group.first['model.width'])}, {group.first['arm']}: {seeds}."


def fig_25(records: Records, reference: Reference) -> Table:
    """Return savings and errors of Heat 1D by the size of its network."""
    runs = runs_of(records, "fig_25")
    runs = runs[runs["is_converged"] | (runs["schedule"] == "prdp")].sort_values("model.width")
    columns = {
        "width": lambda group: f"{int(group.first['model.width'])}",
        "parameters": lambda group: f"{parameters(group.runs):,}",
        "schedule": HEAD["schedule"],
        "seeds": HEAD["seeds"],
        "savings %": percent("savings"),
        **PARTS,
        "final K": extent("iterations_final"),
        "error x1e-2": error(),
        "median": FINAL["median"],
        "smallest to largest": extent("val_error_final", 100, 2),
    }
    ours = QUANTITIES["size_exponent"](Selection(runs, records))
    exponent = EMPTY if ours is None else spread(ours, 1, 3)
    notes = [
        f"Error of PRDP over the number of parameters n: n^p with p = {exponent}, fitted by seed (paper: about "
        f"{printed(reference, 'fig_25.exponent')}); savings in the paper: about "
        f"{printed(reference, 'fig_25.savings')} %.",
        *(_apart(group) for group in groups(runs) if not _far(group).empty),
    ]
    return table("Savings and network size, Heat 1D (figure 25)", runs, columns, notes)
