"""The host's loop over epochs, for one seed or several side by side: ask the schedule, train, validate, emit rows."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.training.lanes import Lanes
from prdp.training.rows import Diverged, Row, check, decide, levels, trained, untrained
from prdp.training.step import Compiled, TrainState, traced_controls


@dataclass(frozen=True)
class Plan:
    """How long a run trains, in what batches, the seed that shuffles them, and the metric that drives the schedule."""

    epochs: int
    batch_size: int
    seed: int
    metric: str = "val_error"


@dataclass
class RunResult:
    """What one seed has computed so far: its state, and one row per epoch (epoch 0 is the untrained model).

    While `in_epoch`, state and rows belong to different moments.
    """

    state: TrainState
    schedule_state: Any
    rows: list[Row] = field(default_factory=list)
    in_epoch: bool = False


@dataclass(eq=False)
class Lane:
    """One seed of a training, without its state, which is stacked with those of the others.

    Attributes:
        plan: how long it trains, and its seed.
        schedule_state: where its schedule is.
        rows: one per epoch.
        ended: `finished` or `diverged`; empty while it goes on.
        reason: why it diverged.
    """

    plan: Plan
    schedule_state: Any
    rows: list[Row] = field(default_factory=list)
    ended: str = ""
    reason: str = ""

    def note_end(self) -> None:
        """Note whether the last row is the last of the run."""
        if not self.rows:
            return
        try:
            check(self.rows[-1])
        except Diverged as reason:
            self.ended, self.reason = "diverged", str(reason)
            return
        if self.rows[-1]["epoch"] == self.plan.epochs:
            self.ended = "finished"


def shuffled(plan: Plan, samples: int, epoch: int) -> np.ndarray:
    """Return the minibatches of an epoch, `(batches, batch_size)` int32.

    Drawn on the host from (seed, epoch) alone: a resumed run sees the same batches, and so do all devices.
    """
    order = np.random.default_rng((plan.seed, epoch)).permutation(samples)
    return order.reshape(-1, plan.batch_size).astype(np.int32)


class Training:
    """Train one or several seeds, each with its own shuffling, schedule and K, resumable between any two passes.

    In a pass every lane that goes on trains one epoch, whichever epoch that is: lanes that were interrupted at
    different moments go on together. A lane that has ended computes on with K = 0, and its results are ignored.

    The columns of seconds hold a lane's share: the wall time divided by the lanes that shared it.

    Args:
        task: what is learnt.
        compiled: its executables, over the lanes of `axis`.
        arrays: what they take, as `axis.share` returned it.
        schedule: which K comes next.
        plans: one per lane; they differ in the seed alone.
        results: where each lane is: before the first epoch, or what a checkpoint holds.
        axis: of the lanes; of one lane it has no axis at all.
    """

    def __init__(
        self,
        task: Task,
        compiled: Compiled,
        arrays: Any,
        schedule: Schedule,
        plans: Sequence[Plan],
        results: Sequence[RunResult],
        axis: Lanes,
    ):
        self.task, self.compiled, self.arrays = task, compiled, arrays
        self.schedule, self.axis = schedule, axis
        self.updates = task.samples // plans[0].batch_size
        self.lanes = [Lane(p, r.schedule_state, r.rows) for p, r in zip(plans, results, strict=True)]
        for lane in self.lanes:
            lane.note_end()
        self._state = axis.stack([result.state for result in results])
        # While they compute, states and rows belong to different moments.
        self._computing = False

    def advance(self) -> Iterator[list[Lane]]:
        """Go on until all lanes have ended; after each pass, yield the lanes that have a new row."""
        while going := [lane for lane in self.lanes if not lane.ended]:
            # Untrained lanes first: all are, unless a group that goes on had not got far.
            untrained_lanes = [lane for lane in going if not lane.rows]
            self._computing = True
            self._pass(untrained_lanes or going, train=not untrained_lanes)
            self._computing = False
            yield untrained_lanes or going

    def result(self, lane: Lane) -> RunResult:
        """Return a lane with its present state, as a run of its own that can be saved."""
        state = self.axis.lane(self._state, self.lanes.index(lane))
        return RunResult(state, lane.schedule_state, lane.rows, self._computing)

    def _pass(self, going: list[Lane], train: bool) -> None:
        rows = [levels(self.task, lane.schedule_state) for lane in self.lanes]
        share = 1 / len(going)
        seconds, totals = self._train(rows) if train else (0.0, None)
        began = time.perf_counter()
        errors = jax.device_get(self.compiled.validate(self._state.parameters, self.arrays))
        seconds_validate = time.perf_counter() - began
        for i, (lane, row) in enumerate(zip(self.lanes, rows, strict=True)):
            if lane not in going:
                continue
            if train:
                budget = row["iterations"] * self.updates * self.task.solves_per_update
                own = self.axis.lane(totals, i)
                row.update(trained(lane.rows[-1], own, self.updates, budget, seconds * share))
            else:
                row.update(untrained(self.compiled.seconds * share))
            row.update({key: float(value) for key, value in self.axis.lane(errors, i).items()})
            row["seconds_validate"] = seconds_validate * share
            lane.schedule_state, diagnostics = decide(
                self.schedule, lane.schedule_state, row, lane.plan.metric
            )
            lane.rows.append({**row, **diagnostics})
            lane.note_end()

    def _train(self, rows: list[Row]) -> tuple[float, Any]:
        began = time.perf_counter()
        orders = [shuffled(lane.plan, self.task.samples, len(lane.rows)) for lane in self.lanes]
        controls = [
            traced_controls(0 if lane.ended else row["iterations"], row["tolerance"])
            for lane, row in zip(self.lanes, rows, strict=True)
        ]
        self._state, totals = self.compiled.train(
            self._state, self.arrays, self.axis.stack(orders), self.axis.stack(controls)
        )
        totals = jax.device_get(jax.block_until_ready(totals))
        return time.perf_counter() - began, totals
