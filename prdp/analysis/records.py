"""Committed records of runs as tidy tables."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from prdp.atomic import write_bytes

# The experiment of the runs that no preset names.
OWN = "own"
# The groups of the configuration; each has a column with the name that was chosen in it.
GROUPS = ("physics", "solver", "diff", "schedule", "model", "optimizer", "task", "data")
# Settings outside the groups that can change numbers. Others are dotted: `config.<key>`.
GENERAL = ("scale", "precision", "batch_size", "metric", "converged_iterations", "planned_epochs")
_JOBS = ("experiment", "overrides", "run")
_HISTORIES = "*_histories*.parquet"


@dataclass(frozen=True)
class Records:
    """Recorded runs as three tidy tables.

    Attributes:
        summaries: one row per run. `run` is the name of its folder. Plain columns are those of `summary.json` (`seed`,
            `savings`, `val_error_final`, ...), the names chosen in the groups of the configuration (`GROUPS`), its
            general settings (`GENERAL`) and where the run comes from (`commit`, `device`, `jax`, `recorded`). Dotted
            columns are the rest of the configuration (`schedule.iterations`, `model.width`, ...). `busy_elsewhere` is
            the share of CPU time that other processes took.
        histories: one row per epoch of every run: `run` and the columns of `prdp.records.COLUMNS`.
        jobs: one row per job of an experiment preset: `experiment`, `overrides` (as on the command line), and the
            `run` they make, null while it is not recorded. Runs of no preset are jobs of the experiment `own`.
    """

    summaries: pd.DataFrame
    histories: pd.DataFrame
    jobs: pd.DataFrame

    def of(self, *experiments: str) -> "Records":
        """Return the records of some experiments. The tables are empty if none of their jobs was run."""
        jobs = self.jobs[self.jobs["experiment"].isin(experiments)]
        return self.keep(self.summaries["run"].isin(jobs["run"]), jobs)

    def where(self, **values: Any) -> "Records":
        """Return the records of the runs whose columns have these values; `__` stands for a dot in a column's name.

        A column that no run has matches nothing. The value `None` matches null.
        """
        chosen = pd.Series(True, index=self.summaries.index)
        for key, value in values.items():
            column = self.summaries.get(
                key.replace("__", "."), pd.Series(None, index=chosen.index, dtype=object)
            )
            chosen &= column.isna() if value is None else column == value
        return self.keep(chosen)

    def keep(self, chosen: pd.Series, jobs: pd.DataFrame | None = None) -> "Records":
        """Return the records of the summaries that `chosen` marks."""
        summaries = self.summaries[chosen.astype(bool)]
        histories = self.histories[self.histories["run"].isin(summaries["run"])]
        return Records(summaries, histories, self.jobs if jobs is None else jobs)

    def history(self, run: str) -> pd.DataFrame:
        """Return the history of one run, one row per epoch."""
        return self.histories[self.histories["run"] == run].reset_index(drop=True)

    def with_own(self) -> "Records":
        """Return the records with a job of the experiment `own` for each run that no preset names."""
        jobs = self.jobs[self.jobs["experiment"] != OWN]
        own = self.summaries[~self.summaries["run"].isin(jobs["run"])]
        named = [g for g in ("physics", "scale", "solver", "diff", "schedule", "seed") if g in own]
        rows = [(OWN, " ".join(f"{g}={row[g]}" for g in named), row["run"]) for row in own.to_dict("records")]
        if not rows:
            return Records(self.summaries, self.histories, jobs)
        return Records(
            self.summaries,
            self.histories,
            pd.concat([jobs, pd.DataFrame(rows, columns=list(_JOBS))], ignore_index=True),
        )


def empty() -> Records:
    """Return records of nothing."""
    return Records(
        pd.DataFrame(columns=["run"]), pd.DataFrame(columns=["run"]), pd.DataFrame(columns=list(_JOBS))
    )


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration with dotted keys; lists become JSON text."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def merge(old: Records, new: Records) -> Records:
    """Return the records of both. Where both have a run, `new` counts.

    The jobs are those of `new` (those of `old` if it has none). A job whose run is not recorded keeps the run that
    `old` has for it: today's configuration may give it another name than on the day it was recorded. Once the run of
    today's name is recorded, it replaces the other.
    """
    summaries, histories = _union(old.summaries, new.summaries), _union(old.histories, new.histories)
    before, jobs = (r.jobs[r.jobs["experiment"] != OWN] for r in (old, new))
    if jobs.empty:
        return Records(summaries, histories, before).with_own()
    key = ["experiment", "overrides"]
    jobs = jobs.merge(before, on=key, how="left", suffixes=("", "_before"))
    recorded = jobs["run"].isin(summaries["run"])
    kept = jobs["run"].where(recorded, jobs["run_before"])
    kept = kept.where(kept.isin(summaries["run"]), None)
    replaced = set(jobs.loc[recorded, "run_before"].dropna()) - set(kept)
    merged = Records(summaries, histories, jobs[key].assign(run=kept))
    return merged.keep(~summaries["run"].isin(replaced)).with_own()


def _union(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    return _concat([old[~old["run"].isin(new["run"])], new])


def save(records: Records, folder: Path) -> None:
    """Write the tables into `folder`, each file atomically.

    `<physics>_summaries.parquet` and `jobs.parquet`; and `<physics>_histories_<day>.parquet` with the runs recorded on
    a day (UTC), so that new runs leave the large files of earlier days as they are.
    """
    # In this order: after a crash at any point, a recorded run has its history.
    written = set()
    for physics, summaries in _by_physics(records.summaries):
        # The latest day first: a run that was recorded again is in its file before it leaves that of an earlier day.
        for day, runs in reversed(list(summaries["run"].groupby(_days(summaries)))):
            histories = records.histories[records.histories["run"].isin(runs)]
            path = folder / f"{physics}_histories_{day}.parquet"
            _write(_in_order(histories, "run", "epoch"), path)
            written.add(path)
    for physics, summaries in _by_physics(records.summaries):
        _write(_in_order(summaries, "run"), folder / f"{physics}_summaries.parquet")
    jobs = records.jobs[records.jobs["experiment"] != OWN]
    _write(jobs.sort_values(["experiment", "overrides"]), folder / "jobs.parquet")
    for path in set(folder.glob(_HISTORIES)) - written:
        path.unlink()


def _by_physics(summaries: pd.DataFrame) -> Any:
    return () if summaries.empty else summaries.groupby("physics")


def _days(summaries: pd.DataFrame) -> pd.Series:
    """Return the day on which each run was recorded."""
    recorded = summaries.get("recorded", pd.Series(None, summaries.index, dtype=object))
    return recorded.str[:10].fillna("undated")


def load(folder: Path) -> Records:
    """Return the records that `save` wrote; empty tables if there are none.

    Raises:
        ValueError: a file is damaged; the message names it.
    """
    summaries = [_read(p) for p in sorted(folder.glob("*_summaries.parquet"))]
    histories = pd.DataFrame(columns=["run"])
    for path in sorted(folder.glob(_HISTORIES)):
        # After a crash of `save`, a run that was recorded again is in the files of two days.
        histories = _union(histories, _read(path))
    jobs = folder / "jobs.parquet"
    return Records(
        complete(_concat(summaries)), histories, _read(jobs) if jobs.exists() else empty().jobs
    ).with_own()


# Keys that were added after runs had been recorded: the value that these runs had, and the group whose options have the
# key (null for all). A new key of the configuration needs an entry here, or new runs differ from recorded ones.
_LATER_KEYS: dict[str, tuple[Any, str | None]] = {
    "scale": ("full", None),
    "metric": ("val_error", None),
    "solver.warm_start": (False, None),
    "schedule.least": (1, "schedule"),
    # The test set changes no other number of a run.
    "data.test_sets": (4, None),
}
# The names in groups that were not recorded at first: a column that only this option has -> its name.
_MARKS = {
    "model": {"model.channels": "resnet", "model.initial": "parameters", "model.width": "mlp"},
    "optimizer": {"optimizer.b1": "adam", "optimizer.learning_rate": "gradient_descent"},
    "task": {"task.unrolled_steps": "correction", "task.reference": "inverse", "task.loss": "mixed_chain"},
    "data": {"data.modes": "fourier", "data.smoothing": "noise", "physics": "none"},
}


def complete(summaries: pd.DataFrame) -> pd.DataFrame:
    """Return summaries of an earlier version with the columns that were added since."""
    filled: dict[str, Any] = {}
    for key, (value, group) in _LATER_KEYS.items():
        if key not in summaries:
            continue
        missing = summaries[key].isna()
        if group is not None:
            missing &= summaries[group].isin(summaries.loc[~missing, group])
        if missing.any():
            filled[key] = summaries[key].mask(missing, value).infer_objects()
    for name_of, marks in _MARKS.items():
        names = summaries.get(name_of, pd.Series(None, summaries.index, dtype=object))
        for column, name in marks.items():
            marked = summaries[column].notna() if column in summaries else pd.Series(False, names.index)
            names = names.mask(names.isna() & marked, name)
        filled[name_of] = names.infer_objects()
    if "epochs" in summaries:
        # A diverged run of an earlier version stopped early, and its planned length was not recorded.
        planned = summaries.get("planned_epochs", pd.Series(pd.NA, summaries.index, dtype="Int64"))
        filled["planned_epochs"] = planned.fillna(summaries["epochs"]).astype("int64")
    return summaries.assign(**filled)


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    frames = [f for f in frames if not f.empty]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["run"])


def _in_order(frame: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Return rows and columns in a fixed order, so that the same records make the same file."""
    # Columns that only other physics have are left out.
    frame = frame.dropna(axis="columns", how="all").sort_values(list(keys))
    return frame[[*keys, *frame.columns.difference(list(keys))]]


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _write(frame: pd.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    # Bytes of equal weight together: the files of floats have half the size.
    floats = list(frame.select_dtypes("float64"))
    others = [name for name in frame if name not in floats]
    options: Any = {"use_byte_stream_split": floats, "use_dictionary": others, "compression_level": 12}
    frame.to_parquet(buffer, index=False, compression="zstd", **options)
    write_bytes(path, buffer.getvalue())
