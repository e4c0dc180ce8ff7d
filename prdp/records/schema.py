"""The columns of `history.parquet`, the numbers of `summary.json`, and what tells runs apart."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import pandas as pd

# Column -> dtype. Further columns of a task, such as `val_error_*`, follow `val_error` as float64.
COLUMNS = {
    "epoch": "int64",
    "updates": "int64",
    "iterations": "int64",
    "tolerance": "float64",
    "iterations_total": "int64",
    "iterations_executed_total": "int64",
    "matvecs_total": "int64",
    "adjoint_matvecs_total": "int64",
    "train_loss": "float64",
    "val_error": "float64",
    "smoothed": "float64",
    "ratio_step": "float64",
    "ratio_stop": "float64",
    "refined": "bool",
    "residual_mean": "float64",
    "residual_max": "float64",
    "solver_status": "int64",
    "adjoint_residual_mean": "float64",
    "adjoint_residual_max": "float64",
    "adjoint_status": "int64",
    "seconds_train": "float64",
    "seconds_validate": "float64",
    "seconds_compile": "float64",
}

_SINCE_LATER = {"adjoint_residual_mean": math.nan, "adjoint_residual_max": math.nan, "adjoint_status": 0}

# Keys of the configuration that change no number: they say where and how a run is kept.
HOUSEKEEPING = frozenset(
    (
        "runs_dir", "data_dir", "overwrite", "progress", "checkpoint_seconds", "tracking", "compilation_cache",
        "seeds_per_process", "dry_run",
    )
)  # fmt: skip

# Columns that differ between two runs of the same configuration.
TIMINGS = ("seconds_train", "seconds_validate", "seconds_compile")


_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}


def history_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return the rows as a table: one row per epoch, epoch 0 before the first update.

    This uses Arrow alone, since importing pandas would take a third of a short run.

    Raises:
        KeyError: If a row lacks a column.
    """
    # Rows from a checkpoint of an earlier version lack columns that were added later.
    rows = [{**_SINCE_LATER, **row} for row in rows]
    extra = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in COLUMNS]
    names = list(COLUMNS)
    at = names.index("val_error") + 1
    names = [*names[:at], *extra, *names[at:]]
    types = {**COLUMNS, **dict.fromkeys(extra, "float64")}
    return pa.table({name: _column([row[name] for row in rows], types[name]) for name in names})


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a history file."""
    return pq.read_table(path).to_pylist()


def _column(values: list[Any], dtype: str) -> pa.Array:
    """Return an Arrow array of plain numbers. `pa.array` would import pandas to check for pandas types."""
    data = np.asarray(values, dtype)
    bits = np.packbits(data, bitorder="little") if dtype == "bool" else data
    return pa.Array.from_buffers(_TYPES[dtype], len(data), [None, pa.py_buffer(bits.tobytes())])


def history_frame(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """Return `history_table` as a data frame."""
    return history_table(rows).to_pandas()


def savings(iterations: list[int], converged: int) -> dict[str, float]:
    """Return the savings relative to `converged` iterations in every interval, as the paper counts them.

        total                     1 - sum_e K_e / (K_eps * epochs)
        incomplete convergence    1 - K_max / K_eps,  K_max the K of the last interval
        progressive refinement    total - incomplete convergence

    Args:
        iterations: K of each trained interval; without any, all savings are zero.
        converged: K_epsilon.
    """
    if not iterations:
        return dict.fromkeys(_SAVINGS, 0.0)
    total = 1 - sum(iterations) / (converged * len(iterations))
    incomplete = 1 - iterations[-1] / converged
    return dict(zip(_SAVINGS, (total, incomplete, total - incomplete), strict=True))


_SAVINGS = ("savings", "savings_incomplete_convergence", "savings_progressive_refinement")


def summarise(
    rows: list[dict[str, Any]],
    test: dict[str, float],
    identity: dict[str, Any],
    converged: int,
    compilations: int,
    status: str,
) -> dict[str, Any]:
    """Return the summary of a run from its rows.

    Args:
        rows: the rows of the history.
        test: the errors of the final network on the held-out test set, by column.
        identity: the options of physics, solver, diff and schedule, and the seed.
        converged: K_epsilon.
        compilations: the number of compilations of the update.
        status: how the run ended, `finished` or `diverged`.
    """
    trained, last = rows[1:], rows[-1]
    levels = [row["iterations"] for row in trained]
    return {
        **identity,
        "epochs": last["epoch"],
        "updates": last["updates"],
        "iterations_final": levels[-1] if levels else last["iterations"],
        "converged_iterations": converged,
        "iterations_total": last["iterations_total"],
        "iterations_converged_total": sum(
            round(converged * (b["iterations_total"] - a["iterations_total"]) / b["iterations"])
            for a, b in zip(rows[:-1], trained, strict=True)
        ),
        "iterations_executed_total": last["iterations_executed_total"],
        "matvecs_total": last["matvecs_total"],
        "adjoint_matvecs_total": last["adjoint_matvecs_total"],
        **savings(levels, converged),
        "val_error_final": last["val_error"],
        "val_error_best": min(row["val_error"] for row in rows),
        **{f"{k}_final": v for k, v in last.items() if k.startswith("val_error_")},
        **{f"{column}_final": error for column, error in test.items()},
        "seconds_train": sum(row["seconds_train"] for row in rows),
        "seconds_validate": sum(row["seconds_validate"] for row in rows),
        "seconds_compile": sum(row["seconds_compile"] for row in rows),
        "compilations": compilations,
        **{key: max(row.get(key, 0) for row in rows) for key in ("solver_status", "adjoint_status")},
        "status": status,
    }
