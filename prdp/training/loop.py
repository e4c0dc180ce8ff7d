"""The host's loop over epochs: ask the schedule, run the compiled update, emit a row."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.training.step import Compiled, TrainState, traced_controls

Row = dict[str, Any]


class Diverged(Exception):
    """Training met a loss or a validation error that is not finite."""


@dataclass
class RunResult:
    """What has been computed so far: the state and a row an epoch (epoch 0 is the untrained model).

    While `in_epoch`, state and rows belong to different moments.
    """

    state: TrainState
    schedule_state: Any
    rows: list[Row] = field(default_factory=list)
    in_epoch: bool = False


@dataclass(frozen=True)
class Plan:
    """How long a run trains, in what batches, the seed that shuffles them, and the column that the schedule is told."""

    epochs: int
    batch_size: int
    seed: int
    metric: str = "val_error"


def shuffled(plan: Plan, samples: int, epoch: int) -> np.ndarray:
    """Return the minibatches of an epoch, `(batches, batch_size)` int32.

    Drawn on the host from (seed, epoch) alone: a resumed run sees the same batches, and so do all devices.
    """
    order = np.random.default_rng((plan.seed, epoch)).permutation(samples)
    return order.reshape(-1, plan.batch_size).astype(np.int32)


class Run:
    """Train for `epochs`, one row an epoch, resumable between any two rows.

    Args:
        task: what is learnt.
        compiled: its executables.
        arrays: what they take.
        schedule: which K comes next.
        plan: how long, in what batches, and the seed of their shuffling.
    """

    def __init__(self, task: Task, compiled: Compiled, arrays: Any, schedule: Schedule, plan: Plan):
        self.task, self.compiled, self.arrays = task, compiled, arrays
        self.schedule, self.plan, self.epochs = schedule, plan, plan.epochs
        self.updates_per_epoch = task.samples // plan.batch_size

    def start(self, state: TrainState) -> RunResult:
        """Return the result before anything has been computed."""
        return RunResult(state, self.schedule.init())

    def advance(self, result: RunResult) -> Iterator[Row]:
        """Continue from `result`, updating it in place; yield each new row after it has been appended.

        Raises:
            Diverged: after the row that has a non-finite loss or validation error.
        """
        for epoch in range(len(result.rows), self.epochs + 1):
            row = self._levels(result.schedule_state)
            result.in_epoch = True
            row.update(self._first() if epoch == 0 else self._train(result, epoch, row))
            began = time.perf_counter()
            row.update(self._validate(result.state))
            row["seconds_validate"] = time.perf_counter() - began
            result.schedule_state, _ = self.schedule.update(result.schedule_state, row[self.plan.metric])
            row.update(decision(result.schedule_state))
            result.rows.append(row)
            result.in_epoch = False
            yield row
            unusable = [k for k in ("train_loss", "val_error") if not math.isfinite(row[k])]
            if unusable and epoch > 0:
                raise Diverged(f"{unusable[0]} is {row[unusable[0]]} after epoch {epoch}")

    def _levels(self, schedule_state: Any) -> Row:
        # A schedule over iterations says nothing of the tolerance.
        tolerance = getattr(schedule_state, "tolerance", self.task.settings.tolerance)
        return {"iterations": int(schedule_state.iterations), "tolerance": float(tolerance)}

    def _first(self) -> Row:
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
            "seconds_train": 0.0,
            "seconds_compile": self.compiled.seconds,
        }

    def _train(self, result: RunResult, epoch: int, levels: Row) -> Row:
        iterations = levels["iterations"]
        controls = traced_controls(iterations, levels["tolerance"])
        began = time.perf_counter()
        order = shuffled(self.plan, self.task.samples, epoch)
        result.state, totals = self.compiled.train(result.state, self.arrays, order, controls)
        totals = jax.device_get(jax.block_until_ready(totals))
        seconds = time.perf_counter() - began
        last, updates = result.rows[-1], self.updates_per_epoch
        solves = updates * self.task.solves_per_update
        return {
            "epoch": epoch,
            "updates": last["updates"] + updates,
            "iterations_total": last["iterations_total"] + iterations * solves,
            "iterations_executed_total": last["iterations_executed_total"] + int(totals.executed),
            "matvecs_total": last["matvecs_total"] + int(totals.matvecs),
            "adjoint_matvecs_total": last["adjoint_matvecs_total"] + int(totals.adjoint_matvecs),
            "train_loss": float(totals.loss),
            "residual_mean": float(totals.residual_mean),
            "residual_max": float(totals.residual_max),
            "solver_status": int(totals.status),
            "seconds_train": seconds,
            "seconds_compile": 0.0,
        }

    def _validate(self, state: TrainState) -> Row:
        columns = jax.device_get(self.compiled.validate(state.parameters, self.arrays))
        return {key: float(value) for key, value in columns.items()}


def decision(schedule_state: Any) -> Row:
    """Return what the schedule thought, NaN where it has no such thought."""
    return {
        "smoothed": float(getattr(schedule_state, "smoothed", math.nan)),
        "ratio_step": float(getattr(schedule_state, "ratio_step", math.nan)),
        "ratio_stop": float(getattr(schedule_state, "ratio_stop", math.nan)),
        "refined": bool(getattr(schedule_state, "refined", False)),
    }
