"""The seeds of one configuration that train in one program, and the record of each."""

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax

from prdp.config import Config, ConfigError
from prdp.interrupts import deferred
from prdp.memory import check_program
from prdp.preparation import initialiser, scans_well
from prdp.records import CPUContention, RunFolder, if_possible, summarise
from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.tracking import Console, RunInfo, Sink, announced
from prdp.training import Lane, Lanes, Plan, RunResult, Training, compile_run
from prdp.training.checkpoint import Saver, newest


@dataclass(frozen=True)
class Outcome:
    """The result of `run` for one seed.

    Attributes:
        folder: the run folder.
        summary: the content of its `summary.json`.
        skipped: whether the run had already been finished before.
        resumed: whether it continued from a checkpoint.
    """

    folder: Path
    summary: dict[str, Any]
    skipped: bool
    resumed: bool = False


def run_info(
    config: Config, folder: Path, rows: list[dict[str, Any]], converged: int, experiment: str | None
) -> RunInfo:
    """Return what sinks are given of a run that has some rows."""
    return RunInfo(
        name=folder.name,
        folder=folder,
        identity=config.identity(),
        config=config.plain,
        epochs=config.general.epochs,
        done=max(0, len(rows) - 1),
        converged_iterations=converged,
        experiment=experiment,
        rows=tuple(rows),
    )


@dataclass
class Member:
    """One seed of a group, with its lane, its saver and its sinks. `summary` is empty until it has ended."""

    config: Config
    folder: RunFolder
    lane: Lane
    saver: Saver
    sinks: list[Sink]
    resumed: bool
    summary: dict[str, Any] = field(default_factory=dict)


class Group:
    """The seeds that train in one program. Their folders are held and initialised."""

    def __init__(
        self,
        members: Sequence[tuple[Config, RunFolder]],
        prepared: tuple[Task, Schedule, int],
        experiment: str | None,
    ):
        first, (task, schedule, self.converged) = members[0][0], prepared
        general = first.general
        graph, initial = initialiser(first)
        states = [initial(config.general.seed)._replace(cache=task.cold_cache()) for config, _ in members]
        axis = Lanes(len(members), tuple(jax.devices()), lockstep=jax.default_backend() != "cpu")
        arrays = axis.share(task.arrays())
        stacked = axis.stack(states)
        batch, scan = general.batch_size, scans_well(first)
        with announced("compiling") if general.progress else nullcontext():
            self.compiled = compile_run(task, graph, stacked, arrays, first.optimizer, batch, scan, axis)
        check_program(first, self.compiled.memory)
        results = [RunResult(state, schedule.init()) for state in states]
        share = self.compiled.seconds / len(members)
        resumed = [
            _resume(folder, result, schedule, share)
            for (_, folder), result in zip(members, results, strict=True)
        ]
        plans = [
            Plan(general.epochs, general.batch_size, config.general.seed, general.metric)
            for config, _ in members
        ]
        self.training = Training(task, self.compiled, arrays, schedule, plans, results, axis)
        self.members = [
            Member(
                config,
                folder,
                lane,
                Saver(*folder.checkpoints, general.checkpoint_seconds),
                [sink for sink in (config.new_sink(),) if sink is not None],
                was_resumed,
            )
            for (config, folder), lane, was_resumed in zip(members, self.training.lanes, resumed, strict=True)
        ]
        self.contention = CPUContention()
        # One progress display for all seeds.
        self.shared: list[Sink] = [Console()] if general.progress else []
        infos = [
            run_info(m.config, m.folder.path, m.lane.rows, self.converged, experiment) for m in self.members
        ]
        for sink in self.shared:
            sink.start(dataclasses.replace(infos[0], done=min(info.done for info in infos)))
        for member, info in zip(self.members, infos, strict=True):
            for sink in member.sinks:
                sink.start(info)

    def train(self) -> list[Outcome]:
        """Train to the end, and return the outcomes. On an interrupt, save a checkpoint of each unfinished lane."""
        try:
            with deferred() as interrupts:
                # A lane has already ended if its process was killed between the last row and the summary.
                for member in self.members:
                    self._end(member)
                for lanes in self.training.advance():
                    going = [member for member in self.members if member.lane in lanes]
                    self._show(going)
                    for member in going:
                        self._end(member)
                    for member in self._unfinished():
                        member.saver.maybe_save(partial(self.training.result, member.lane))
                    if self._unfinished():
                        interrupts.check()
        except KeyboardInterrupt:
            for member in self._unfinished():
                with if_possible():
                    member.saver.save(self.training.result(member.lane))
            raise
        finally:
            for sink in [*self.shared, *(sink for member in self._unfinished() for sink in member.sinks)]:
                sink.finish(None)
        return [Outcome(m.folder.path, m.summary, skipped=False, resumed=m.resumed) for m in self.members]

    def _unfinished(self) -> list[Member]:
        return [member for member in self.members if not member.summary]

    def _show(self, going: list[Member]) -> None:
        last = [member.lane.rows[-1] for member in going]
        for member, row in zip(going, last, strict=True):
            for sink in member.sinks:
                sink.row(row)
        mean = {key: sum(row[key] for row in last) / len(last) for key in ("iterations", "val_error")}
        for sink in self.shared:
            sink.row({"epoch": min(row["epoch"] for row in last), **mean})

    def _end(self, member: Member) -> None:
        """Write the record of a lane if it has ended."""
        lane = member.lane
        if not lane.ended:
            return
        summary = summarise(
            lane.rows,
            self.training.test(lane),
            member.config.identity(),
            self.converged,
            self.compiled.compilations,
            lane.ended,
        )
        details: dict[str, Any] = {"reason": lane.reason} if lane.reason else {}
        # The CPU load during the part that an earlier process computed is unknown.
        details["busy_elsewhere"] = None if member.resumed else self.contention.share()
        member.folder.end(lane.rows, summary, **details)
        member.summary = summary
        for sink in member.sinks:
            sink.finish(summary)


def _resume(folder: RunFolder, result: RunResult, schedule: Schedule, seconds_compile: float) -> bool:
    """If the folder has an intact checkpoint, load the newest into `result` and return `True`.

    Raises:
        ConfigError: If the checkpoint holds the state of another kind of schedule.
    """
    checkpoint = newest(folder.checkpoints, result.state)
    if checkpoint is None:
        return False
    try:
        schedule_state = schedule.restored(checkpoint.meta["schedule_state"])
    except ValueError as error:
        raise ConfigError(f"{folder.checkpoint}: {error}: overwrite=true begins anew") from error
    result.state, result.schedule_state = checkpoint.tree, schedule_state
    result.rows = checkpoint.meta["rows"]
    # The recorded rows stay as they are, except that this process's compilation time is added to the first.
    result.rows[0]["seconds_compile"] += seconds_compile
    return True
