"""The host's loop over epochs: ask the schedule, run the compiled update, emit a row."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.training.rows import Row, check, decide, levels, trained, untrained
from prdp.training.step import Compiled, TrainState, traced_controls


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
            row = levels(self.task, result.schedule_state)
            result.in_epoch = True
            row.update(self._train(result, row) if epoch else untrained(self.compiled.seconds))
            began = time.perf_counter()
            row.update(self._validate(result.state))
            row["seconds_validate"] = time.perf_counter() - began
            result.schedule_state, thoughts = decide(
                self.schedule, result.schedule_state, row, self.plan.metric
            )
            row.update(thoughts)
            result.rows.append(row)
            result.in_epoch = False
            yield row
            check(row)

    def _train(self, result: RunResult, row: Row) -> Row:
        last, updates = result.rows[-1], self.updates_per_epoch
        iterations = row["iterations"]
        controls = traced_controls(iterations, row["tolerance"])
        began = time.perf_counter()
        order = shuffled(self.plan, self.task.samples, last["epoch"] + 1)
        result.state, totals = self.compiled.train(result.state, self.arrays, order, controls)
        totals = jax.device_get(jax.block_until_ready(totals))
        seconds = time.perf_counter() - began
        return trained(last, totals, updates, iterations * updates * self.task.solves_per_update, seconds)

    def _validate(self, state: TrainState) -> Row:
        columns = jax.device_get(self.compiled.validate(state.parameters, self.arrays))
        return {key: float(value) for key, value in columns.items()}
