"""The host's loop over epochs, for one or several seeds: query the schedule, train, validate, append rows."""

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
from prdp.training.step import Compiled, TrainState, test_errors, traced_controls


@dataclass(frozen=True)
class Plan:
    """The plan of a training.

    Attributes:
        epochs: the number of epochs.
        batch_size: samples per update, a divisor of the number of training samples.
        seed: the seed of the shuffling.
        metric: the column of the history that drives the schedule.
    """

    epochs: int
    batch_size: int
    seed: int
    metric: str = "val_error"


@dataclass
class RunResult:
    """The result of one seed so far: its state, and one row per epoch (epoch 0 is the untrained model).

    While `in_epoch`, the state and the rows are not consistent with each other.
    """

    state: TrainState
    schedule_state: Any
    rows: list[Row] = field(default_factory=list)
    in_epoch: bool = False


@dataclass(eq=False)
class Lane:
    """One seed of a training, without its training state, which is stacked with the states of the other lanes.

    Attributes:
        plan: the number of epochs, the batch size, the seed and the metric.
        schedule_state: the state of its schedule.
        rows: one row per epoch.
        ended: `finished` or `diverged`; empty while the lane is training.
        reason: why it diverged; empty if it did not.
    """

    plan: Plan
    schedule_state: Any
    rows: list[Row] = field(default_factory=list)
    ended: str = ""
    reason: str = ""

    def note_end(self) -> None:
        """Set `ended` and `reason` if the last row ends the run."""
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
    """Return the sample indices of the minibatches of an epoch, `(batches, batch_size)` int32.

    They are drawn on the host and depend on (seed, epoch) alone, so a resumed run sees the same batches on any device.
    """
    order = np.random.default_rng((plan.seed, epoch)).permutation(samples)
    return order.reshape(-1, plan.batch_size).astype(np.int32)


class Training:
    """Train one or several seeds, each with its own shuffling, schedule and K, resumable between any two passes.

    In a pass, every lane that has not ended trains its next epoch. Lanes that were interrupted at different epochs
    therefore continue together. A lane that has ended keeps computing with K = 0, and its results are ignored.

    The columns of seconds hold a lane's share: the wall time divided by the number of lanes that shared it.

    Args:
        task: the task.
        compiled: its executables, over the lanes of `axis`.
        arrays: the task's arrays, as returned by `axis.share`.
        schedule: the schedule of all lanes; each lane has its own state.
        plans: one per lane; they differ only in the seed.
        results: the starting point of each lane, either untrained or from a checkpoint.
        axis: the lanes.
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
        # The test errors of the present state, once they are known.
        self._tested: dict[str, Any] | None = None
        # True during a pass, when the state and the rows are not consistent with each other.
        self._computing = False

    def advance(self) -> Iterator[list[Lane]]:
        """Train until all lanes have ended. After each pass, yield the lanes that have a new row.

        Raises:
            UnsuitableMetric: If the schedule of a lane cannot use its metric.
        """
        while going := [lane for lane in self.lanes if not lane.ended]:
            # Lanes without a row are validated first. In a new group these are all lanes; in a resumed group, those
            # that were interrupted before their first row.
            untrained_lanes = [lane for lane in going if not lane.rows]
            self._computing, self._tested = True, None
            self._pass(untrained_lanes or going, train=not untrained_lanes)
            self._computing = False
            yield untrained_lanes or going

    def result(self, lane: Lane) -> RunResult:
        """Return the present result of one lane, which can be saved as a run of its own."""
        state = self.axis.lane(self._state, self.lanes.index(lane))
        return RunResult(state, lane.schedule_state, lane.rows, self._computing)

    def test(self, lane: Lane) -> dict[str, float]:
        """Return the errors of a lane's present network on the test set, as `test_error...`; empty if there is none."""
        # Lanes that end in the same pass share the evaluation, which is of all lanes.
        if self._tested is None:
            self._tested = test_errors(self.task, self.compiled, self._state.parameters, self.arrays)
        own = self.axis.lane(self._tested, self.lanes.index(lane))
        return {name: float(error) for name, error in own.items()}

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
