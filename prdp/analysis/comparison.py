"""Which runs may be compared: their cases, their arms, and the converged baseline of each.

Two runs belong to one case if nothing in their configurations differs but the schedule, its metric and the seed.
Within a case, an arm is a schedule with its parameters and its metric. The runs of an arm differ in the seed alone.
"""

import math

import pandas as pd

from prdp.analysis.records import GENERAL, GROUPS, Records

# Results by which two records of one arm and seed are recognised as the same run.
_NUMBERS = ("status", "val_error_final", "iterations_total", "matvecs_total", "adjoint_matvecs_total")
_NAMES = {"prdp": "PRDP", "tolerance_prdp": "PRDP by tolerance"}
# Seconds are compared between runs that share these ...
CONDITIONS = ("device", "cpu_count", "commit")
# ... and count if other processes took at most this share of CPU time.
BUSY = 0.05
# It follows from other settings and would only make labels longer.
_FOLLOWS = ("converged_iterations",)


def tidy(records: Records) -> pd.DataFrame:
    """Return one row per run, with what comparisons need.

    Added columns: `case` (a number), `arm` (the label of the schedule), `variant` (the settings in which a case differs
    from others of its physics and scale; may be empty), `is_converged` (a fixed schedule at K_eps), `iterations_mean`
    (K over the epochs), `executed_savings` (by iterations executed, against K_eps in every solve), `matvecs` (forward
    and adjoint; NaN if they were counted by an older rule, see `counted_otherwise`), `seconds` (training and
    validation).

    Raises:
        ValueError: two records have the same configuration and seed but different numbers.
    """
    # As objects all strings are one block of memory; each Arrow column would be copied by itself, thousands of times.
    strings: pd.DataFrame = records.summaries.select_dtypes("str")
    runs = records.summaries.astype(dict.fromkeys(strings.columns, object)).copy()
    if runs.empty:
        return runs.assign(case=0, arm="", variant="", is_converged=False)
    runs["is_converged"] = (runs["schedule"] == "fixed") & (
        runs["iterations_final"] == runs["converged_iterations"]
    )
    runs["iterations_mean"] = (1 - runs["savings"]) * runs["converged_iterations"]
    products = runs["matvecs_total"] + runs["adjoint_matvecs_total"]
    runs["matvecs"] = products.mask(counted_otherwise(runs))
    runs["executed_savings"] = 1 - runs["iterations_executed_total"] / runs["iterations_converged_total"]
    runs["seconds"] = runs["seconds_train"] + runs["seconds_validate"]
    case = case_columns(runs)
    runs["case"] = number(runs, case)
    runs["arm"] = _arms(runs)
    runs["variant"] = distinguish(runs, ["physics", "scale"], [c for c in case if c not in _FOLLOWS])
    return without_repetitions(runs, ["case", "arm", "seed"])


def without_repetitions(runs: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return the runs in the order of `key`; of several records of the same run, the last.

    Raises:
        ValueError: runs of the same key have different numbers.
    """
    ordered = runs.sort_values("recorded", kind="stable") if "recorded" in runs else runs
    repeated = ordered[ordered.duplicated(key, keep=False)]
    for _, group in repeated.groupby(key, dropna=False):
        differing_numbers = varying(group, [c for c in _NUMBERS if c in group])
        if differing_numbers:
            column, first, last = differing_numbers[0], group.iloc[0], group.iloc[-1]
            raise ValueError(
                f"runs {first['run']} and {last['run']} have the same configuration and seed but different results "
                f"({column}: {first[column]} and {last[column]}); remove one of them from the records"
            )
    latest = ordered.drop_duplicates(key, keep="last")
    return latest.sort_values(key, kind="stable").reset_index(drop=True)


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that have a final error."""
    return runs[runs["status"] == "finished"]


def diverged(runs: pd.DataFrame) -> int:
    """Return the number of diverged runs."""
    return int((runs["status"] == "diverged").sum())


def timed_alone(runs: pd.DataFrame) -> pd.Series:
    """Return which runs may be compared by seconds.

    Other processes took at most 5 % of CPU time meanwhile, and the commit says which code ran: nothing was uncommitted.
    """
    elsewhere = runs.get("busy_elsewhere", pd.Series(math.nan, index=runs.index))
    changed = runs.get("uncommitted_changes", pd.Series(False, index=runs.index))
    return (elsewhere.astype(float) <= BUSY) & ~changed.eq(True)


def counted_otherwise(runs: pd.DataFrame) -> pd.Series:
    """Return which runs counted products by an older rule, so that they cannot be compared with those of others.

    A cycle of GMRES takes `restart + 1` products, the last one for its residual. Until 26 November 2026 it counted as
    `restart`: those runs have fewer forward products than cycles executed times `restart + 1`.
    """
    if "solver.restart" not in runs:
        return pd.Series(False, runs.index)
    cycle = runs["solver.restart"].where(runs["solver"] == "gmres").astype(float) + 1
    return runs["matvecs_total"] < cycle * runs["iterations_executed_total"]


def baseline(runs: pd.DataFrame, column: str, *, same_conditions: bool = False) -> pd.Series:
    """Return, for each run, a column of the converged baseline of its case: of the same seed, else the mean, else NaN.

    Args:
        runs: rows of `tidy`, including the baselines.
        column: of the baseline.
        same_conditions: ignore baselines that differ in one of `CONDITIONS`.
    """
    case = ["case", *(c for c in CONDITIONS if same_conditions and c in runs)]
    converged = finished(runs[runs["is_converged"]])
    by_seed = runs[[*case, "seed"]].merge(
        converged.drop_duplicates([*case, "seed"])[[*case, "seed", column]], on=[*case, "seed"], how="left"
    )[column]
    mean = converged.groupby(case, as_index=False)[column].mean()
    by_case = runs[case].merge(mean, on=case, how="left")[column]
    return pd.Series(by_seed.fillna(by_case).to_numpy(dtype=float), runs.index)


def case_columns(runs: pd.DataFrame, without: tuple[str, ...] = ("schedule",)) -> list[str]:
    """Return the columns of every setting, except those of some groups, the metric and the seed."""
    plain = [c for c in (*GROUPS, *GENERAL) if c in runs and c not in (*without, "metric")]
    skipped = tuple(f"{group}." for group in (*without, "tracking"))
    return [*plain, *(c for c in map(str, runs) if "." in c and not c.startswith(skipped))]


def differing(runs: pd.DataFrame) -> list[str]:
    """Return the settings in which the cases of some runs differ."""
    return varying(runs, case_columns(runs))


def number(runs: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Return a number for each combination of values."""
    columns = varying(runs, columns)
    if not columns:
        return pd.Series(0, runs.index)
    return runs.groupby(columns, dropna=False, sort=True).ngroup()


def varying(runs: pd.DataFrame, columns: list[str]) -> list[str]:
    """Return the columns that have more than one value."""
    return [c for c in columns if runs[c].nunique(dropna=False) > 1]


def distinguish(
    runs: pd.DataFrame, within: list[str], columns: list[str], *, only_unusual: bool = False
) -> pd.Series:
    """Return a label for each run: the values of the columns that vary within its group.

    Args:
        runs: the runs.
        within: the columns that make the groups.
        columns: the columns to show.
        only_unusual: leave out values that most runs of the group have.
    """
    label = pd.Series("", runs.index, dtype=object)
    columns = varying(runs, columns)
    for _, group in runs.groupby(within, dropna=False) if columns else ():
        texts = pd.DataFrame(index=group.index)
        for column in [c for c in varying(group, columns) if not _follows(group, c)]:
            values = group[column].map(_plain)
            text = f"{_key(column)} = " + values
            texts[column] = text.mask(values == values.mode()[0], "") if only_unusual else text
        joined = [", ".join(filter(None, row)) for row in texts.to_numpy().tolist()]
        label.loc[group.index] = pd.Series(joined, group.index)
    return label


def _follows(runs: pd.DataFrame, column: str) -> bool:
    """Whether a parameter of a group is determined by the name chosen in that group."""
    group = column.partition(".")[0]
    if group == column or group not in runs or runs[group].nunique(dropna=False) < 2:
        return False
    return bool(runs.groupby(group, dropna=False)[column].nunique(dropna=False).max() == 1)


def _arms(runs: pd.DataFrame) -> pd.Series:
    fixed = runs["schedule"] == "fixed"
    level = runs["iterations_final"].astype(int).astype(str)
    name = runs["schedule"].replace(_NAMES).mask(fixed, "K = " + level)
    name = name.mask(runs["is_converged"], "converged, K = " + level)
    driven = {"val_error": "", "train_loss": " on the training loss"}
    # A fixed schedule reads no metric.
    metric = runs["metric"].map(lambda m: driven.get(m, f" on {m}")).mask(fixed, "")
    name = name + metric
    parameters = [c for c in map(str, runs) if c.startswith("schedule.")]
    # The level of a fixed schedule is its name.
    shown = runs.assign(_name=name)
    if "schedule.iterations" in runs:
        shown["schedule.iterations"] = shown["schedule.iterations"].mask(fixed)
    suffix = distinguish(shown, ["case", "_name"], parameters)
    return name.mask(suffix != "", name + " (" + suffix + ")")


def _key(column: str) -> str:
    group, _, key = column.rpartition(".")
    return f"{group} class" if key == "_target_" else key.removeprefix("planned_")


def _plain(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
