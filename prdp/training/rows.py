"""The rows of the history: the inputs and results of each epoch."""

import math
from typing import Any

from prdp.schedules import Schedule
from prdp.solvers import Status
from prdp.tasks import Task
from prdp.training.step import EpochTotals

Row = dict[str, Any]


class Diverged(Exception):
    """The loss or the validation error is not finite."""


def levels(task: Task, schedule_state: Any) -> Row:
    """Return the current K and tolerance. Schedules over iterations leave the tolerance to the task's settings."""
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
        last: the previous row.
        totals: the totals of the epoch, on the host.
        updates: the number of updates in the epoch.
        iterations: the iteration budget of the epoch, K times its number of solves.
        seconds: wall time of the epoch.
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
    """Return a residual, or NaN if the differentiation mode does not measure it."""
    return math.nan if math.isinf(residual) else float(residual)


def _status(status: Any) -> int:
    """Return a status from its float value; NaN means that a gradient was not finite."""
    return int(status) if math.isfinite(status) else int(Status.NON_FINITE)


class UnsuitableMetric(ValueError):
    """A schedule cannot use a metric. The message is one line."""


def decide(schedule: Schedule, schedule_state: Any, row: Row, column: str) -> tuple[Any, Row]:
    """Update the schedule with a column of the row; return its new state and its diagnostics (NaN if unavailable).

    Raises:
        UnsuitableMetric: If the schedule cannot use that value.
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
    """Check that the loss and the validation error of a row are finite. Epoch 0, which has no loss, always passes.

    Raises:
        Diverged: If one of them is not finite.
    """
    unusable = [k for k in ("train_loss", "val_error") if not math.isfinite(row[k])]
    if unusable and row["epoch"] > 0:
        raise Diverged(f"{unusable[0]} is {row[unusable[0]]} after epoch {row['epoch']}")
