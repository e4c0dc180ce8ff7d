"""The problems that the oracle and the training gradients are computed on, and the tables they are kept in."""

import io
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir

from prdp.atomic import write_bytes
from prdp.config import Config, parse

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results" / "records"
# `_small`: of reduced size, because the paper's takes days or because more seeds and schedules fit into the same hours.
PROBLEMS = {
    "poisson": ("physics=poisson",),
    "heat1d": ("physics=heat1d",),
    "heat2d_small": ("physics=heat2d", "scale=small"),
    "heat2d": ("physics=heat2d",),
    "heat3d_small": ("physics=heat3d", "scale=small"),
    "burgers": ("physics=burgers",),
    "navier_stokes_small": ("physics=navier_stokes", "scale=small"),
}


def configured(problem: str, *overrides: str) -> Config:
    """Return the configuration of a problem."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        data = f"data_dir={ROOT / 'results' / 'data'}"
        return parse(compose("config", overrides=[*PROBLEMS[problem], data, *overrides]))


def keep(path: Path, rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Write rows into a table, in place of those with the same values of `key`; return the table.

    All other rows stay: each took minutes to hours.
    """
    if path.exists():
        before = pd.read_parquet(path)
        rows = pd.concat([before[~before[key].isin(rows[key].unique())], rows], ignore_index=True)
    buffer = io.BytesIO()
    rows.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())
    return rows
