"""Run folders and committed records as tidy tables."""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from prdp.atomic import write_bytes

# Of provenance.json, what a summary's row keeps.
_PROVENANCE = ("prdp", "commit", "uncommitted_changes", "device", "cpu_count")


@dataclass(frozen=True)
class Records:
    """What runs left, as three tidy tables.

    Attributes:
        summaries: a row a run. `run` is its folder's name; plain columns are those of `summary.json` (`physics`,
            `schedule`, `seed`, `savings`, `val_error_final`, ...), dotted ones the run's configuration
            (`schedule.iterations`, `data.form`, `model.width`, ...), and `commit`, `device`, `jax`, `recorded` say
            where it comes from; `busy_elsewhere` is the share of the processors' time that other processes took.
        histories: a row an epoch of every run: `run` and the columns of `prdp.records.COLUMNS`.
        jobs: a row a job of an experiment preset: `experiment`, `overrides` (as on the command line), and the `run`
            that these make, null while it has no record.
    """

    summaries: pd.DataFrame
    histories: pd.DataFrame
    jobs: pd.DataFrame

    def of(self, *experiments: str) -> "Records":
        """Return the records of some experiments; empty tables if none of their jobs has been run."""
        jobs = self.jobs[self.jobs["experiment"].isin(experiments)]
        summaries = self.summaries[self.summaries["run"].isin(jobs["run"])]
        return Records(summaries, self.histories[self.histories["run"].isin(jobs["run"])], jobs)

    def where(self, **values: Any) -> "Records":
        """Return the records of the runs whose columns have these values; `__` stands for a dot in a column's name.

        A column that no run has is met by nothing; a value `None` is met by null.
        """
        chosen = pd.Series(True, index=self.summaries.index)
        for key, value in values.items():
            column = self.summaries.get(
                key.replace("__", "."), pd.Series(None, index=chosen.index, dtype=object)
            )
            chosen &= column.isna() if value is None else column == value
        summaries = self.summaries[chosen]
        return Records(summaries, self.histories[self.histories["run"].isin(summaries["run"])], self.jobs)

    def history(self, run: str) -> pd.DataFrame:
        """Return the history of one run, a row an epoch."""
        return self.histories[self.histories["run"] == run].reset_index(drop=True)


def load_runs(folders: Iterable[Path]) -> Records:
    """Return the records of finished (or diverged) run folders; those of unfinished or damaged ones are left out."""
    summaries, histories = [], []
    for folder in folders:
        try:
            row = _summary(folder)
            history = pd.read_parquet(folder / "history.parquet")
        except (OSError, ValueError, yaml.YAMLError):
            # Not there yet, or not whole: not a finished run.
            continue
        summaries.append(row)
        histories.append(history.assign(run=folder.name))
    return Records(
        _frame(summaries), _concat(histories), pd.DataFrame(columns=["experiment", "overrides", "run"])
    )


def _summary(folder: Path) -> dict[str, Any]:
    status = json.loads((folder / "status.json").read_text())
    if status["status"] not in ("finished", "diverged"):
        raise ValueError(f"{folder} is {status['status']}")
    text = (folder / "config.yaml").read_text()
    provenance = json.loads((folder / "provenance.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    # Cut between two lines, YAML stays valid. The first runs have no checksum.
    checksum = hashlib.sha256(text.encode()).hexdigest()
    if provenance.get("config_sha256", checksum) != checksum:
        raise ValueError(f"{folder / 'config.yaml'} is damaged")
    config = yaml.safe_load(text)
    return {
        "run": folder.name,
        **summary,
        **{
            k: v for k, v in flatten(config).items() if k not in summary and not k.endswith(("_dir", ".name"))
        },
        **{k: provenance.get(k) for k in _PROVENANCE},
        "device": _device(provenance.get("device"), config.get("seeds_per_process", 1)),
        "jax": provenance["packages"]["jax"],
        "recorded": status["updated"],
        "busy_elsewhere": status.get("busy_elsewhere"),
    }


def _device(name: str | None, seeds: int) -> str | None:
    """Return what seconds were taken on: a share of a device is another device."""
    return f"{name}, {seeds} seeds together" if name and seeds > 1 else name


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration with dotted keys; lists become their JSON text."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def merge(old: Records, new: Records) -> Records:
    """Return the records of both; where both have a run, that of `new`. Nothing recorded is lost.

    The jobs are those of `new` (those of `old` if it has none). One whose run has no record keeps the run that `old`
    knows for it: today's configuration may give it another name than the day it was recorded.
    """
    summaries, histories = _union(old.summaries, new.summaries), _union(old.histories, new.histories)
    if new.jobs.empty:
        return Records(summaries, histories, old.jobs)
    key = ["experiment", "overrides"]
    jobs = new.jobs.merge(old.jobs, on=key, how="left", suffixes=("", "_before"))
    recorded = set(summaries["run"])
    run = jobs["run"].where(jobs["run"].isin(recorded), jobs["run_before"])
    return Records(summaries, histories, jobs[key].assign(run=run.where(run.isin(recorded), None)))


def _union(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    return _concat([old[~old["run"].isin(new["run"])], new])


def save(records: Records, folder: Path) -> None:
    """Write `<physics>_histories.parquet`, `<physics>_summaries.parquet` and `jobs.parquet`, each atomically."""
    # In this order: whatever comes between, a recorded run has its history.
    for physics, summaries in () if records.summaries.empty else records.summaries.groupby("physics"):
        histories = records.histories[records.histories["run"].isin(summaries["run"])]
        _write(_in_order(histories, "run", "epoch"), folder / f"{physics}_histories.parquet")
        _write(_in_order(summaries, "run"), folder / f"{physics}_summaries.parquet")
    _write(records.jobs.sort_values(["experiment", "overrides"]), folder / "jobs.parquet")


# Keys that came after runs had been recorded, with the value that these had.
_SINCE_LATER = {"scale": "full", "metric": "val_error", "solver.warm_start": False}


def _completed(summaries: pd.DataFrame) -> pd.DataFrame:
    """Return the summaries with the later keys filled in."""
    filled = {}
    for key, value in _SINCE_LATER.items():
        if key in summaries and summaries[key].isna().any():
            filled[key] = summaries[key].where(summaries[key].notna(), value).infer_objects()
    return summaries.assign(**filled)


def load(folder: Path) -> Records:
    """Return what `save` wrote; empty tables if there is nothing.

    Raises:
        ValueError: a file is damaged; the message says which.
    """
    summaries = [_read(p) for p in sorted(folder.glob("*_summaries.parquet"))]
    histories = [_read(p) for p in sorted(folder.glob("*_histories.parquet"))]
    jobs = folder / "jobs.parquet"
    return Records(
        _completed(_concat(summaries)),
        _concat(histories),
        _read(jobs) if jobs.exists() else pd.DataFrame(columns=["experiment", "overrides", "run"]),
    )


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    frames = [f for f in frames if not f.empty]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["run"])


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run"])


def _in_order(frame: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Return rows and columns in an order of their own, so that the same records make the same file."""
    # A column that only other physics have says nothing here.
    frame = frame.dropna(axis="columns", how="all").sort_values(list(keys))
    return frame[[*keys, *frame.columns.difference(list(keys))]]


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _write(frame: pd.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_bytes(path, buffer.getvalue())
