"""Run folders as tidy data frames."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd


def load_summaries(folders: Iterable[Path]) -> pd.DataFrame:
    """Return one row a run, `run` its folder's name; unfinished runs are left out."""
    rows = []
    for folder in folders:
        path = folder / "summary.json"
        if path.exists():
            rows.append({"run": folder.name, **json.loads(path.read_text())})
    return pd.DataFrame(rows)


def load_histories(folders: Iterable[Path]) -> pd.DataFrame:
    """Return one row an epoch of every run, `run` its folder's name; unfinished runs are left out."""
    frames = []
    for folder in folders:
        path = folder / "history.parquet"
        if path.exists():
            frames.append(pd.read_parquet(path).assign(run=folder.name))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
