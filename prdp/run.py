"""One run of one or several seeds: build its objects, train, and record the results of each seed."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
from omegaconf import DictConfig, ListConfig, OmegaConf

from prdp.config import Config, ConfigError, parse
from prdp.interrupts import deferred
from prdp.preparation import check_folders, enter, has_data, initialiser, prepare, scans_well, source_of
from prdp.records import CPUContention, RunFolder, if_possible, provenance, run_name, summarise, working
from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.tracking import Console, RunInfo, Sink
from prdp.training import Lane, Lanes, Plan, RunResult, Training, compile_run, load_checkpoint
from prdp.training.checkpoint import Saver

log = logging.getLogger(__name__)


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


def run(composed: DictConfig, experiment: str | None = None) -> list[Outcome]:
    """Run a composed Hydra configuration, and return the outcome of each of its seeds.

    A finished seed is skipped, and an unfinished one continues from its checkpoint. Several seeds train together in one
    program, spread over all devices. The record of each is the same as that of a single run, except for rounding and
    for the seconds, which are its share of the wall time. A single seed is a group of one.

    Args:
        composed: the configuration; `seed` is an integer, or a list of integers.
        experiment: the preset that the run belongs to, which trackers may use for grouping.

    Raises:
        ConfigError: If the configuration is wrong or a seed occurs twice, before any run folder is created. Also if a
            checkpoint holds the state of another kind of schedule.
        RunIsHeld: If another process is computing one of these runs.
        UnsuitableMetric: If the schedule cannot use its metric.
    """
    configs = _configs(composed)
    enter(configs[0])
    folders = [folder_of(config) for config in configs]
    outcomes = [_recorded(config, folder) for config, folder in zip(configs, folders, strict=True)]
    missing = [i for i, outcome in enumerate(outcomes) if outcome is None]
    if missing:
        check_folders(configs[0].plain, [folders[i].path for i in missing], has_data(configs[0]))
        prepared = prepare(configs[0])
        with working([folders[i] for i in missing]):
            # Another process may have finished some of them in the meantime.
            for i in missing:
                outcomes[i] = _recorded(configs[i], folders[i])
            left = [i for i in missing if outcomes[i] is None]
            if left:
                members = [(configs[i].sharing(len(left)), folders[i]) for i in left]
                for config, folder in members:
                    _begin(config, folder)
                for i, outcome in zip(left, _Group(members, prepared, experiment).train(), strict=True):
                    outcomes[i] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _configs(composed: DictConfig) -> list[Config]:
    """Return the checked configuration of each seed."""
    seeds = composed.get("seed")
    if not isinstance(seeds, ListConfig):
        return [parse(composed)]
    seeds = list(seeds)
    if not seeds or any(type(seed) is not int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seed={seeds}: allowed is an integer, or a list of different ones")
    first = parse(OmegaConf.merge(composed, {"seed": seeds[0]}))  # type: ignore[arg-type]
    return [first.with_seed(seed) for seed in seeds]


def folder_of(config: Config) -> RunFolder:
    """Return the folder of a run."""
    return RunFolder(config.general.runs / run_name(config.identity(), config.determinants()))


def _recorded(config: Config, folder: RunFolder) -> Outcome | None:
    """Return the outcome of a run that is already finished, or `None` if it has to be computed."""
    summary = None if config.general.overwrite else folder.finished_summary()
    if summary is None:
        return None
    # The process may have been killed before it removed the checkpoint.
    folder.checkpoint.unlink(missing_ok=True)
    if folder.is_of_other_source(source_of(config)):
        log.warning(
            "%s was finished by other source than the present one: the same command with overwrite=true repeats it",
            folder.path,
        )
    return Outcome(folder.path, summary, skipped=True)


def _begin(config: Config, folder: RunFolder) -> None:
    """Write what is known before training into a run folder that this process holds."""
    if config.general.overwrite:
        folder.discard()
    source = source_of(config)
    # A resumed run records the sources of all its parts.
    earlier = folder.sources() if folder.checkpoint.exists() else []
    if folder.checkpoint.exists() and folder.is_of_other_source(source):
        log.warning(
            "%s goes on from a checkpoint that other source than the present one wrote: overwrite=true begins anew",
            folder.path,
        )
    earlier = [x for x in dict.fromkeys(earlier) if x != source]
    folder.begin(config.plain, {**provenance(), "source": source, "earlier_sources": earlier})


@dataclass
class _Member:
    """One seed of a group, with its lane, its saver and its sinks. `summary` is empty until it has ended."""

    config: Config
    folder: RunFolder
    lane: Lane
    saver: Saver
    sinks: list[Sink]
    resumed: bool
    summary: dict[str, Any] = field(default_factory=dict)


class _Group:
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
        self.compiled = compile_run(task, graph, stacked, arrays, first.optimizer, batch, scan, axis)
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
            _Member(
                config,
                folder,
                lane,
                Saver(folder.checkpoint, general.checkpoint_seconds),
                [sink for sink in (config.new_sink(),) if sink is not None],
                was_resumed,
            )
            for (config, folder), lane, was_resumed in zip(members, self.training.lanes, resumed, strict=True)
        ]
        self.contention = CPUContention()
        # One progress display for all seeds.
        self.shared: list[Sink] = [Console()] if general.progress else []
        infos = [self._info(member, experiment) for member in self.members]
        for sink in self.shared:
            sink.start(dataclasses.replace(infos[0], done=min(info.done for info in infos)))
        for member, info in zip(self.members, infos, strict=True):
            for sink in member.sinks:
                sink.start(info)

    def _info(self, member: _Member, experiment: str | None) -> RunInfo:
        return RunInfo(
            name=member.folder.path.name,
            folder=member.folder.path,
            identity=member.config.identity(),
            config=member.config.plain,
            epochs=member.config.general.epochs,
            done=max(0, len(member.lane.rows) - 1),
            converged_iterations=self.converged,
            experiment=experiment,
            rows=tuple(member.lane.rows),
        )

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
                        if member.saver.due:
                            member.saver.save(self.training.result(member.lane))
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

    def _unfinished(self) -> list[_Member]:
        return [member for member in self.members if not member.summary]

    def _show(self, going: list[_Member]) -> None:
        last = [member.lane.rows[-1] for member in going]
        for member, row in zip(going, last, strict=True):
            for sink in member.sinks:
                sink.row(row)
        mean = {key: sum(row[key] for row in last) / len(last) for key in ("iterations", "val_error")}
        for sink in self.shared:
            sink.row({"epoch": min(row["epoch"] for row in last), **mean})

    def _end(self, member: _Member) -> None:
        """Write the record of a lane if it has ended."""
        lane = member.lane
        if not lane.ended:
            return
        summary = summarise(
            lane.rows, member.config.identity(), self.converged, self.compiled.compilations, lane.ended
        )
        details: dict[str, Any] = {"reason": lane.reason} if lane.reason else {}
        # The CPU load during the part that an earlier process computed is unknown.
        details["busy_elsewhere"] = None if member.resumed else self.contention.share()
        member.folder.end(lane.rows, summary, **details)
        member.summary = summary
        for sink in member.sinks:
            sink.finish(summary)


def _resume(folder: RunFolder, result: RunResult, schedule: Schedule, seconds_compile: float) -> bool:
    """If the folder has an intact checkpoint, load it into `result` and return `True`.

    Raises:
        ConfigError: If the checkpoint holds the state of another kind of schedule.
    """
    checkpoint = load_checkpoint(folder.checkpoint, result.state)
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
