"""Several seeds of one configuration in one program, and a record of each as if it had run alone."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
from omegaconf import DictConfig, ListConfig, OmegaConf

from prdp.components import build_sinks, initialiser, prepare, scans_well
from prdp.config import Config, ConfigError, parse
from prdp.experiment import (
    Outcome,
    begin,
    check_folders,
    describe,
    enter,
    folder_of,
    has_data,
    if_possible,
    plan_of,
    recorded,
    resume,
    run,
    working,
)
from prdp.interrupts import deferred
from prdp.records import Neighbours, RunFolder, summarise
from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.tracking import Console, Sink
from prdp.training import Lane, Lanes, RunResult, Together, compile_run
from prdp.training.checkpoint import Saver


def run_seeds(composed: DictConfig, experiment: str | None = None) -> list[Outcome]:
    """Run what a composed configuration describes, for its one `seed` or together for all of a list.

    Together, each seed has the record that it would have alone, but for rounding and seconds (its share of the wall
    time). The folders are those of single runs: finished ones are skipped, and an interrupted seed goes on alone or
    with others, whichever way it began. The lanes are spread over all devices.

    Args:
        composed: the configuration; `seed` an integer, or a list of integers.
        experiment: the preset that the runs belong to.

    Raises:
        ConfigError: the configuration is wrong, or a seed is there twice.
        RunIsHeld: another process is computing one of these runs.
    """
    if not isinstance(composed.seed, ListConfig):
        return [run(composed, experiment)]
    seeds = list(composed.seed)
    if not seeds or any(type(seed) is not int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seed={seeds}: allowed is an integer, or a list of different ones")
    first = parse(OmegaConf.merge(composed, {"seed": seeds[0]}))  # type: ignore[arg-type]
    configs = [first.with_seed(seed) for seed in seeds]
    enter(first)
    folders = [folder_of(config) for config in configs]
    outcomes = [recorded(config, folder) for config, folder in zip(configs, folders, strict=True)]
    missing = [i for i, outcome in enumerate(outcomes) if outcome is None]
    if missing:
        check_folders(first.plain, [folders[i].path for i in missing], has_data(first))
        prepared = prepare(first)
        with working([folders[i] for i in missing]):
            # Some may have been finished while this process prepared.
            for i in missing:
                outcomes[i] = recorded(configs[i], folders[i])
            left = [i for i in missing if outcomes[i] is None]
            if left:
                members = [(configs[i].sharing(len(left)), folders[i]) for i in left]
                for i, outcome in zip(left, _train(members, prepared, experiment), strict=True):
                    outcomes[i] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _train(
    members: Sequence[tuple[Config, RunFolder]],
    prepared: tuple[Task, Schedule, int],
    experiment: str | None,
) -> list[Outcome]:
    """Train the runs of some configurations, which differ in the seed alone, in folders that are held."""
    for config, folder in members:
        begin(config, folder)
    group = _Group(members, prepared, experiment)
    group.train()
    return [Outcome(m.folder.path, m.summary, skipped=False, resumed=m.resumed) for m in group.members]


@dataclass
class _Member:
    """One seed of a group: its lane, and where that is kept and told."""

    config: Config
    folder: RunFolder
    lane: Lane
    saver: Saver
    sinks: list[Sink]
    resumed: bool
    summary: dict[str, Any] = field(default_factory=dict)


class _Group:
    """The members, and the program that trains them."""

    def __init__(
        self,
        members: Sequence[tuple[Config, RunFolder]],
        prepared: tuple[Task, Schedule, int],
        experiment: str | None,
    ):
        first, (task, schedule, self.converged) = members[0][0], prepared
        general = first.general
        transformation = first.optimizer.transformation()
        graph, initial = initialiser(first, transformation)
        states = [initial(config.general.seed)._replace(cache=task.cold_cache()) for config, _ in members]
        axis = Lanes(len(members), tuple(jax.devices()), lockstep=jax.default_backend() != "cpu")
        arrays = axis.share(task.arrays())
        self.compiled = compile_run(
            task,
            graph,
            axis.stack(states),
            arrays,
            transformation,
            general.batch_size,
            scans_well(first),
            axis,
        )
        results = [RunResult(state, schedule.init()) for state in states]
        share = self.compiled.seconds / len(members)
        resumed = [
            resume(folder, r, schedule, share) for (_, folder), r in zip(members, results, strict=True)
        ]
        plans = [plan_of(config) for config, _ in members]
        self.training = Together(task, self.compiled, arrays, schedule, plans, results, axis)
        # Progress is shown once, for all.
        silent = dataclasses.replace(general, progress=False)
        self.members = [
            _Member(
                config,
                folder,
                lane,
                Saver(folder.checkpoint, general.checkpoint_seconds),
                build_sinks(dataclasses.replace(config, general=silent)),
                was_resumed,
            )
            for (config, folder), lane, was_resumed in zip(members, self.training.lanes, resumed, strict=True)
        ]
        self.neighbours = Neighbours()
        self.shared: list[Sink] = [Console()] if general.progress else []
        infos = [
            describe(member.config, member.folder, result, self.converged, experiment)
            for member, result in zip(self.members, results, strict=True)
        ]
        for member, info in zip(self.members, infos, strict=True):
            for sink in member.sinks:
                sink.start(info)
        for sink in self.shared:
            sink.start(dataclasses.replace(infos[0], done=min(info.done for info in infos)))

    def train(self) -> None:
        """Train to the end, or until interrupted, with a checkpoint of each lane that has not ended."""
        try:
            with deferred() as interrupts:
                # Those of a group whose process was killed between the last row and the summary.
                for member in self.members:
                    self._end(member)
                for lanes in self.training.advance():
                    going = [member for member in self.members if member.lane in lanes]
                    self._tell(going)
                    for member in going:
                        self._end(member)
                    for member in self._unfinished():
                        if member.saver.due:
                            member.saver.save(self.training.result(member.lane))
                    interrupts.check()
        except KeyboardInterrupt:
            for member in self._unfinished():
                with if_possible():
                    member.saver.save(self.training.result(member.lane))
            raise
        finally:
            for sink in [*self.shared, *(sink for member in self._unfinished() for sink in member.sinks)]:
                sink.finish(None)

    def _unfinished(self) -> list[_Member]:
        return [member for member in self.members if not member.lane.ended]

    def _tell(self, going: list[_Member]) -> None:
        last = [member.lane.rows[-1] for member in going]
        for member, row in zip(going, last, strict=True):
            for sink in member.sinks:
                sink.row(row)
        mean = {key: sum(row[key] for row in last) / len(last) for key in ("iterations", "val_error")}
        for sink in self.shared:
            sink.row({"epoch": min(row["epoch"] for row in last), **mean})

    def _end(self, member: _Member) -> None:
        """Write the record of a lane that has ended."""
        lane = member.lane
        if not lane.ended:
            return
        identity = member.config.identity()
        member.summary = summarise(
            lane.rows, identity, self.converged, self.compiled.compilations, lane.ended
        )
        details: dict[str, Any] = {"reason": lane.reason} if lane.reason else {}
        details["busy_elsewhere"] = None if member.resumed else self.neighbours.share()
        member.folder.end(lane.rows, member.summary, **details)
        for sink in member.sinks:
            sink.finish(member.summary)
