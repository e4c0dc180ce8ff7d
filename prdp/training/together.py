"""Several seeds trained in one program, each as `Run` would alone."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.training.lanes import Lanes
from prdp.training.loop import Plan, RunResult, shuffled
from prdp.training.rows import Diverged, Row, check, decide, levels, trained, untrained
from prdp.training.step import Compiled, traced_controls


@dataclass(eq=False)
class Lane:
    """One seed: what it has computed so far but for its state, which is among those of the others.

    Attributes:
        plan: how long it trains, and its seed.
        schedule_state: where its schedule is.
        rows: a row an epoch.
        ended: `finished` or `diverged`; empty while it goes on.
        reason: why it diverged.
    """

    plan: Plan
    schedule_state: Any
    rows: list[Row] = field(default_factory=list)
    ended: str = ""
    reason: str = ""


class Together:
    """Train lanes for `epochs`, each with its own shuffling, schedule and K, resumable between any two passes.

    In a pass every lane that goes on does one epoch, whichever epoch that is: lanes that were interrupted at
    different moments go on together. A lane that has ended computes on with K = 0, and nobody looks at it.

    The columns of seconds hold a lane's share: the wall time divided by the lanes that shared it.

    Args:
        task: what is learnt.
        compiled: its executables, over lanes.
        arrays: what they take, as `axis.share` returned it.
        schedule: which K comes next.
        plans: of each lane; they differ in the seed alone.
        results: where each lane is: `Run.start`, or what a checkpoint says.
        axis: of the lanes.
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
            _note_end(lane)
        self._state = axis.stack([result.state for result in results])
        # While they compute, states and rows belong to different moments.
        self._computing = False

    def advance(self) -> Iterator[list[Lane]]:
        """Go on until all lanes have ended; yield those that have a new row, after each pass."""
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
            row.update({key: float(values[i]) for key, values in errors.items()})
            row["seconds_validate"] = seconds_validate * share
            lane.schedule_state, thoughts = decide(self.schedule, lane.schedule_state, row, lane.plan.metric)
            lane.rows.append({**row, **thoughts})
            _note_end(lane)

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


def _note_end(lane: Lane) -> None:
    if not lane.rows:
        return
    try:
        check(lane.rows[-1])
    except Diverged as reason:
        lane.ended, lane.reason = "diverged", str(reason)
        return
    if lane.rows[-1]["epoch"] == lane.plan.epochs:
        lane.ended = "finished"
