"""Which runs may be compared: their cases, their arms, and the converged baseline of each.

Two runs are of one case if nothing but their schedule and their seed differs. Within a case, an arm is a schedule with
its parameters and the metric that drives it.
"""

import math

import pandas as pd

from prdp.analysis.records import Records

# What a null means, in records older than the column.
_DEFAULTS = {"scale": "full", "metric": "val_error"}
_CASE = (
    "physics",
    "solver",
    "diff",
    "scale",
    "precision",
    "batch_size",
    "converged_iterations",
    "planned_epochs",
)
_NAMES = {"prdp": "PRDP", "tolerance_prdp": "PRDP by tolerance"}
# Of the processors' time, the largest share of others beside which seconds are still believed.
BUSY = 0.05
# Follows from what else differs, and would only make a label longer.
_FOLLOWS = ("converged_iterations",)


def tidy(records: Records) -> pd.DataFrame:
    """Return a row a run (the last one, if an arm has a seed twice), with what comparisons need.

    Added columns: `case` (a number), `arm` (what the schedule is called), `is_converged` (a fixed schedule at K_eps),
    `iterations_mean` (K over the intervals), `matvecs` (forward and adjoint), `executed_savings` (by iterations
    executed, of the budget of the converged baseline), `seconds` (training and validation), and `variant` (what tells a
    case from the others of its physics and scale; may be empty).
    """
    runs = records.summaries.copy()
    if runs.empty:
        return runs.assign(case=0, arm="", variant="", is_converged=False)
    for column, value in _DEFAULTS.items():
        runs[column] = runs[column].fillna(value) if column in runs else value
    runs["is_converged"] = (runs["schedule"] == "fixed") & (
        runs["iterations_final"] == runs["converged_iterations"]
    )
    runs["iterations_mean"] = (1 - runs["savings"]) * runs["converged_iterations"]
    runs["matvecs"] = runs["matvecs_total"] + runs["adjoint_matvecs_total"]
    runs["executed_savings"] = 1 - runs["iterations_executed_total"] / runs["iterations_converged_total"]
    runs["seconds"] = runs["seconds_train"] + runs["seconds_validate"]
    runs["planned_epochs"] = _planned_epochs(runs)
    case = _case_columns(runs)
    runs["case"] = _number(runs, case)
    runs["arm"] = _arms(runs)
    runs["variant"] = _distinguish(runs, ["physics", "scale"], [c for c in case if c not in _FOLLOWS])
    latest = runs.sort_values("recorded", kind="stable") if "recorded" in runs else runs
    latest = latest.drop_duplicates(["case", "arm", "seed"], keep="last")
    return latest.sort_values(["case", "arm", "seed"], kind="stable").reset_index(drop=True)


def differing(runs: pd.DataFrame) -> list[str]:
    """Return the columns of the configuration in which the cases of some runs differ."""
    return _varying(runs, _case_columns(runs))


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that have a final error."""
    return runs[runs["status"] == "finished"]


def timed_alone(runs: pd.DataFrame) -> pd.Series:
    """Return which runs had their processors to themselves, so that their seconds may be compared."""
    elsewhere = runs.get("busy_elsewhere", pd.Series(math.nan, index=runs.index))
    return elsewhere.astype(float) <= BUSY


def diverged(runs: pd.DataFrame) -> int:
    """Return how many of the runs diverged."""
    return int((runs["status"] == "diverged").sum())


def baseline(runs: pd.DataFrame, column: str, *, same_device: bool = False) -> pd.Series:
    """Return, for each run, a column of the converged baseline of its case: of the same seed, else the mean, else NaN.

    Args:
        runs: rows of `tidy`, the baselines among them.
        column: of the baseline.
        same_device: whether a baseline on another device counts as none.
    """
    case = ["case", "device"] if same_device and "device" in runs else ["case"]
    converged = finished(runs[runs["is_converged"]])
    by_seed = runs[[*case, "seed"]].merge(
        converged.drop_duplicates([*case, "seed"])[[*case, "seed", column]], on=[*case, "seed"], how="left"
    )[column]
    mean = converged.groupby(case, as_index=False)[column].mean()
    by_case = runs[case].merge(mean, on=case, how="left")[column]
    return pd.Series(by_seed.fillna(by_case).to_numpy(dtype=float), runs.index)


def _planned_epochs(runs: pd.DataFrame) -> pd.Series:
    # A diverged run stopped early: it was to train as long as those that it is compared with.
    done = runs["epochs"].where(runs["status"] != "diverged").astype(float)
    columns = _case_columns(runs.drop(columns="planned_epochs", errors="ignore"))
    others = done.groupby(_number(runs, columns)).transform("max")
    return done.fillna(others).fillna(-1)


def _case_columns(runs: pd.DataFrame) -> list[str]:
    dotted = [c for c in map(str, runs) if "." in c and not c.startswith(("schedule.", "tracking."))]
    return [*(c for c in _CASE if c in runs), *dotted]


def _number(runs: pd.DataFrame, columns: list[str]) -> pd.Series:
    varying = _varying(runs, columns)
    if not varying:
        return pd.Series(0, runs.index)
    return runs.groupby(varying, dropna=False, sort=True).ngroup()


def _varying(runs: pd.DataFrame, columns: list[str]) -> list[str]:
    return [c for c in columns if runs[c].nunique(dropna=False) > 1]


def _arms(runs: pd.DataFrame) -> pd.Series:
    fixed = runs["schedule"] == "fixed"
    level = runs["iterations_final"].astype(int).astype(str)
    name = runs["schedule"].replace(_NAMES).mask(fixed, "K = " + level)
    name = name.mask(runs["is_converged"], "converged, K = " + level)
    name = name.mask(~fixed & (runs["metric"] == "train_loss"), name + " on the training loss")
    parameters = [c for c in map(str, runs) if c.startswith("schedule.")]
    # The levels of a fixed schedule are its name.
    suffix = _distinguish(runs.assign(_name=name), ["case", "_name"], [] if fixed.all() else parameters)
    return name.mask(~fixed & (suffix != ""), name + " (" + suffix + ")")


def _distinguish(runs: pd.DataFrame, within: list[str], columns: list[str]) -> pd.Series:
    label = pd.Series("", runs.index, dtype=object)
    columns = _varying(runs, columns)
    if not columns:
        return label
    for _, group in runs.groupby(within, dropna=False):
        varying = _varying(group, columns)
        if varying:
            values = {c: f"{_key(c)} = " + group[c].map(_plain) for c in varying}
            label.loc[group.index] = pd.DataFrame(values).agg(", ".join, axis="columns")
    return label


def _key(column: str) -> str:
    return column.split(".")[-1].removeprefix("planned_")


def _plain(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
