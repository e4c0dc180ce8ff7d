"""Several seeds of one configuration in one program, and a record of each as if it had run alone."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
from omegaconf import DictConfig, ListConfig, OmegaConf

from prdp.components import build_sinks, initialiser, prepare, scans_well
from prdp.config import Config, ConfigError, parse
from prdp.experiment import (
    Outcome,
    begin,
    describe,
    enter,
    folder_of,
    if_possible,
    recorded,
    resume,
    run,
    working,
)
from prdp.interrupts import deferred
from prdp.records import RunFolder, summarise
from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.tracking import Console, Sink
from prdp.training import Lane, Lanes, Plan, RunResult, Together, compile_run
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
    before = [recorded(config, folder) for config, folder in zip(configs, folders, strict=True)]
    missing = [i for i, summary in enumerate(before) if summary is None]
    outcomes = [Outcome(f.path, s or {}, skipped=True) for f, s in zip(folders, before, strict=True)]
    if missing:
        prepared = prepare(first)
        trained = _run_together(
            [configs[i] for i in missing], [folders[i] for i in missing], prepared, experiment
        )
        for i, outcome in zip(missing, trained, strict=True):
            outcomes[i] = outcome
    return outcomes


def _run_together(
    configs: Sequence[Config],
    folders: Sequence[RunFolder],
    prepared: tuple[Task, Schedule, int],
    experiment: str | None,
) -> list[Outcome]:
    configs = [config.sharing(len(configs)) for config in configs]
    with working(folders):
        for config, folder in zip(configs, folders, strict=True):
            begin(config, folder)
        group = _Group(configs, folders, prepared, experiment)
        group.train()
    return [
        Outcome(folder.path, summary, skipped=False, resumed=resumed)
        for folder, summary, resumed in zip(folders, group.summaries, group.resumed, strict=True)
    ]


class _Group:
    """Lanes, and of each its folder, its checkpoints and its sinks."""

    def __init__(
        self,
        configs: Sequence[Config],
        folders: Sequence[RunFolder],
        prepared: tuple[Task, Schedule, int],
        experiment: str | None,
    ):
        first, (task, schedule, self.converged) = configs[0], prepared
        general = first.general
        self.configs, self.folders = configs, folders
        transformation = first.optimizer.transformation()
        graph, initial = initialiser(first, transformation)
        states = [initial(c.general.seed)._replace(cache=task.cold_cache()) for c in configs]
        axis = Lanes(len(configs), tuple(jax.devices()), lockstep=jax.default_backend() != "cpu")
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
        share = self.compiled.seconds / len(configs)
        self.resumed = [resume(f, r, share) for f, r in zip(folders, results, strict=True)]
        plans = [Plan(general.epochs, general.batch_size, c.general.seed, general.metric) for c in configs]
        self.training = Together(task, self.compiled, arrays, schedule, plans, results, axis)
        self.savers = [Saver(folder.checkpoint, general.checkpoint_seconds) for folder in folders]
        self.summaries: list[dict[str, Any]] = [{} for _ in configs]
        infos = [
            describe(config, folder, result, self.converged, experiment)
            for config, folder, result in zip(configs, folders, results, strict=True)
        ]
        # Progress is shown once, for all.
        silent = dataclasses.replace(general, progress=False)
        self.sinks = [build_sinks(dataclasses.replace(config, general=silent)) for config in configs]
        self.shared: list[Sink] = [Console()] if general.progress else []
        for sinks, info in zip(self.sinks, infos, strict=True):
            for sink in sinks:
                sink.start(info)
        for sink in self.shared:
            sink.start(dataclasses.replace(infos[0], done=min(info.done for info in infos)))

    def train(self) -> None:
        """Train to the end, or until interrupted, with a checkpoint of each lane that has not ended."""
        lanes = self.training.lanes
        try:
            with deferred() as interrupts:
                # Those of a group whose process was killed between the last row and the summary.
                for lane in lanes:
                    self._end(lane)
                for going in self.training.advance():
                    self._tell(going)
                    for lane in going:
                        self._end(lane)
                    for lane, saver in zip(lanes, self.savers, strict=True):
                        if not lane.ended and saver.due:
                            saver.save(self.training.result(lane))
                    interrupts.check()
        except KeyboardInterrupt:
            for lane, saver in zip(lanes, self.savers, strict=True):
                if not lane.ended:
                    with if_possible():
                        saver.save(self.training.result(lane))
            raise
        finally:
            for sink in self.shared:
                sink.finish(None)
            for lane, sinks in zip(lanes, self.sinks, strict=True):
                if not lane.ended:
                    for sink in sinks:
                        sink.finish(None)

    def _tell(self, going: list[Lane]) -> None:
        for lane in going:
            for sink in self.sinks[self.training.lanes.index(lane)]:
                sink.row(lane.rows[-1])
        last = [lane.rows[-1] for lane in going]
        mean = {key: sum(row[key] for row in last) / len(last) for key in ("iterations", "val_error")}
        for sink in self.shared:
            sink.row({"epoch": min(row["epoch"] for row in last), **mean})

    def _end(self, lane: Lane) -> None:
        """Write the record of a lane that has ended."""
        if not lane.ended:
            return
        i = self.training.lanes.index(lane)
        identity = self.configs[i].identity()
        summary = summarise(lane.rows, identity, self.converged, self.compiled.compilations, lane.ended)
        self.folders[i].end(lane.rows, summary, **({"reason": lane.reason} if lane.reason else {}))
        self.summaries[i] = summary
        for sink in self.sinks[i]:
            sink.finish(summary)
