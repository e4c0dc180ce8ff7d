"""What a rival is called: how it differs from converged training with the reference solver and mode of its problem."""

import pandas as pd

from prdp.analysis import problems
from prdp.analysis.comparison import case_columns, distinguish, number

CONVERGED, PRDP, SCHEDULE, MODE, SOLVER, WARM = (
    "converged",
    "PRDP",
    "schedule",
    "mode",
    "solver",
    "warm start",
)
KINDS = (CONVERGED, PRDP, SCHEDULE, MODE, SOLVER, WARM)
TWO_STAGES, DEADLINE, DIRECT, CG = "two stages", "PRDP with deadline", "direct", "CG"

# What distinguishes the rivals of a problem; all other settings distinguish problems.
_RIVAL = ("solver", "diff", "schedule")
# Names in print. Others are shown as they are, with spaces for underscores.
_SOLVERS = {"conjugate_gradient": CG, "lbfgs": "L-BFGS", "gmres": "GMRES", "bicgstab": "BiCGStab"}
_MODES = {"jfb": "JFB", "neumann": "Neumann", "reduced_cg": "reduced CG", "one_step": "one-step"}
_SCHEDULES = {
    "prdp": "PRDP",
    "tolerance_prdp": "PRDP by tolerance",
    "geometric": "geometric PRDP",
    "flatness": "PRDP by flatness",
    "two_stage": TWO_STAGES,
    "deadline": DEADLINE,
    "hoag": "HOAG",
}


def named(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the columns `problem`, `problem_variant`, `rival` and `kind`."""
    settings = [c for c in case_columns(runs, without=_RIVAL) if c != "converged_iterations"]
    runs = runs.assign(
        problem=number(runs, settings), problem_variant=distinguish(runs, ["physics", "scale"], settings)
    )
    own = runs.groupby("problem")["solver"].transform(
        lambda used: problems.reference_solver(runs.loc[used.index[0], "physics"], used)
    )
    own_mode = runs.groupby("problem")["diff"].transform(problems.reference_mode)
    warm = runs["solver.warm_start"] if "solver.warm_start" in runs else pd.Series(False, runs.index)
    runs = runs.assign(
        _solver=runs["solver"].where(runs["solver"] != own, ""),
        _mode=runs["diff"].where(runs["diff"] != own_mode, _budget(runs)),
        _warm=warm.fillna(False).astype(bool),
    )
    rows = runs.to_dict("records")
    runs["rival"] = pd.Series([_name(row) for row in rows], runs.index, dtype=object)
    runs["kind"] = pd.Series([_kind(row) for row in rows], runs.index, dtype=object)
    parameters = [c for c in map(str, runs) if c.startswith(tuple(f"{group}." for group in _RIVAL))]
    shown = runs.assign(**{"schedule.iterations": None})
    label = distinguish(shown, ["problem", "rival"], ["metric", *parameters])
    runs["rival"] = runs["rival"].mask(label != "", runs["rival"] + " (" + label + ")")
    return runs


def _budget(runs: pd.DataFrame) -> pd.Series:
    """Return what an implicit run says of its adjoint solve, if that has a budget of its own; else empty."""
    nothing = pd.Series(float("nan"), runs.index)
    count, ratio = (runs.get(f"diff.adjoint_{key}", nothing).astype(float) for key in ("iterations", "ratio"))
    words = count.map("{:g} adjoint iterations".format).where(count.notna(), "")
    return words.where(ratio.isna(), ratio.map("adjoint K x {:g}".format)).str.replace(
        r"^1 adjoint iterations$", "1 adjoint iteration", regex=True
    )


def _name(row: dict) -> str:
    parts = [
        *([_SOLVERS.get(row["_solver"], _plain(row["_solver"]))] if row["_solver"] else []),
        *([mode_name(row["_mode"])] if row["_mode"] else []),
        *(["warm start"] if row["_warm"] else []),
    ]
    if row["is_converged"]:
        return ", ".join(parts) or "converged"
    between = ", " if row["schedule"] == "fixed" else " + "
    return between.join([", ".join(parts), _schedule(row)] if parts else [_schedule(row)])


def _schedule(row: dict) -> str:
    if row["schedule"] == "fixed":
        return f"K = {int(row['iterations_final'])}"
    name = _SCHEDULES.get(row["schedule"], _plain(row["schedule"]))
    sequence = row.get("schedule.sequence")
    return f"{name} {sequence}" if isinstance(sequence, str) else name


def mode_name(mode: str) -> str:
    """Return the name of a differentiation mode in print."""
    return _MODES.get(mode, _plain(mode))


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _kind(row: dict) -> str:
    for kind, differs in ((WARM, row["_warm"]), (SOLVER, row["_solver"]), (MODE, row["_mode"])):
        if differs:
            return kind
    if row["is_converged"]:
        return CONVERGED
    return PRDP if row["schedule"] == "prdp" else SCHEDULE
