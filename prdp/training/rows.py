"""A row of the history, from what an epoch was given and what came back."""

import math
from typing import Any

from prdp.schedules import Schedule
from prdp.solvers import Status
from prdp.tasks import Task
from prdp.training.step import EpochTotals

Row = dict[str, Any]


class Diverged(Exception):
    """Training met a loss or a validation error that is not finite."""


def levels(task: Task, schedule_state: Any) -> Row:
    """Return K and tolerance in force; a schedule over iterations says nothing of the tolerance."""
    tolerance = getattr(schedule_state, "tolerance", task.settings.tolerance)
    return {"iterations": int(schedule_state.iterations), "tolerance": float(tolerance)}


def untrained(seconds_compile: float) -> Row:
    """Return the columns of epoch 0, before the first update."""
    return {
        "epoch": 0,
        "updates": 0,
        "iterations_total": 0,
        "iterations_executed_total": 0,
        "matvecs_total": 0,
        "adjoint_matvecs_total": 0,
        "train_loss": math.nan,
        "residual_mean": math.nan,
        "residual_max": math.nan,
        "solver_status": 0,
        "adjoint_residual_mean": math.nan,
        "adjoint_residual_max": math.nan,
        "adjoint_status": 0,
        "seconds_train": 0.0,
        "seconds_compile": seconds_compile,
    }


def trained(last: Row, totals: EpochTotals, updates: int, iterations: int, seconds: float) -> Row:
    """Return the columns of the epoch after `last`.

    Args:
        last: the row before.
        totals: of the epoch, on the host.
        updates: in the epoch.
        iterations: budget of the epoch, K times its solves.
        seconds: wall time.
    """
    return {
        "epoch": last["epoch"] + 1,
        "updates": last["updates"] + updates,
        "iterations_total": last["iterations_total"] + iterations,
        "iterations_executed_total": last["iterations_executed_total"] + int(totals.executed),
        "matvecs_total": last["matvecs_total"] + int(totals.matvecs),
        "adjoint_matvecs_total": last["adjoint_matvecs_total"] + int(totals.adjoint_matvecs),
        "train_loss": float(totals.loss),
        "residual_mean": float(totals.residual_mean),
        "residual_max": float(totals.residual_max),
        "solver_status": int(totals.status),
        "adjoint_residual_mean": _measured(totals.adjoint_residual_mean),
        "adjoint_residual_max": _measured(totals.adjoint_residual_max),
        "adjoint_status": _status(totals.adjoint_status),
        "seconds_train": seconds,
        "seconds_compile": 0.0,
    }


def _measured(residual: Any) -> float:
    """Return a residual, NaN where the mode does not measure it."""
    return math.nan if math.isinf(residual) else float(residual)


def _status(status: Any) -> int:
    """Return a status that came back as a float; NaN means that a gradient was not finite."""
    return int(status) if math.isfinite(status) else int(Status.NON_FINITE)


class UnsuitableMetric(ValueError):
    """A schedule cannot go on from a metric; its text is one line."""


def decide(schedule: Schedule, schedule_state: Any, row: Row, column: str) -> tuple[Any, Row]:
    """Give the schedule a column of the row; return its new state and its diagnostics (NaN where it has none).

    Raises:
        UnsuitableMetric: If the schedule cannot go on from that value.
    """
    try:
        state, _ = schedule.update(schedule_state, row[column])
    except ValueError as error:
        kind, value = type(schedule).__name__, f"{column}={row[column]} after epoch {row['epoch']}"
        raise UnsuitableMetric(f"{value} does not suit the schedule {kind}: {error}") from error
    return state, {
        "smoothed": float(getattr(state, "smoothed", math.nan)),
        "ratio_step": float(getattr(state, "ratio_step", math.nan)),
        "ratio_stop": float(getattr(state, "ratio_stop", math.nan)),
        "refined": bool(getattr(state, "refined", False)),
    }


def check(row: Row) -> None:
    """Refuse to go on from a row that has a non-finite loss or validation error; epoch 0 has no loss yet.

    Raises:
        Diverged: it has.
    """
    unusable = [k for k in ("train_loss", "val_error") if not math.isfinite(row[k])]
    if unusable and row["epoch"] > 0:
        raise Diverged(f"{unusable[0]} is {row[unusable[0]]} after epoch {row['epoch']}")
