"""From a configuration to one run: build the objects, train, leave a record."""

import logging
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from omegaconf import DictConfig

from prdp import compilation_cache
from prdp.atomic import obstacle
from prdp.checks import shown
from prdp.components import build_sinks, check_system, initialise, prepare, scans_well, source_of
from prdp.config import Config, ConfigError, parse
from prdp.interrupts import Interrupts, deferred
from prdp.records import Neighbours, RunFolder, provenance, run_name, summarise
from prdp.schedules import Schedule
from prdp.tasks import Task
from prdp.tracking import RunInfo, Sink
from prdp.training import Diverged, Plan, Run, RunResult, compile_run, load_checkpoint
from prdp.training.checkpoint import Saver

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What `run` hands back.

    Attributes:
        folder: the run's folder.
        summary: the content of its `summary.json`.
        skipped: whether the run had been finished before.
        resumed: whether it went on from a checkpoint.
    """

    folder: Path
    summary: dict[str, Any]
    skipped: bool
    resumed: bool = False


def run(composed: DictConfig, experiment: str | None = None) -> Outcome:
    """Run what a composed Hydra configuration describes, or return the record if that is finished.

    An unfinished run of the same configuration is continued from its checkpoint.

    Args:
        composed: the configuration.
        experiment: the preset that the run belongs to, by which trackers may group it.

    Raises:
        ConfigError: the configuration is wrong; no run folder has been made.
        RunIsHeld: another process is computing this run.
    """
    config = parse(composed).sharing(1)
    enter(config)
    folder = folder_of(config)
    if (outcome := recorded(config, folder)) is not None:
        return outcome
    check_folders(config.plain, [folder.path], has_data(config))
    task, schedule, converged = prepare(config)
    with working([folder]):
        # It may have been finished while this process prepared.
        if (outcome := recorded(config, folder)) is not None:
            return outcome
        begin(config, folder)
        summary, resumed = _train(config, task, schedule, converged, folder, experiment)
    return Outcome(folder.path, summary, skipped=False, resumed=resumed)


def enter(config: Config) -> None:
    """Set up this process for a configuration, and refuse a solver or mode that does not suit its system."""
    jax.config.update("jax_enable_x64", config.general.precision == "float64")
    check_system(config)
    place = config.general.data / "compiled"
    compilation_cache.use(place if config.general.compilation_cache else None)


def folder_of(config: Config) -> RunFolder:
    """Return the folder of a run."""
    return RunFolder(config.general.runs / run_name(config.identity(), config.determinants()))


def recorded(config: Config, folder: RunFolder) -> Outcome | None:
    """Return the outcome of a run that is finished and need not be computed again."""
    summary = None if config.general.overwrite else folder.finished_summary()
    if summary is None:
        return None
    # Its process may have been killed before it could.
    folder.checkpoint.unlink(missing_ok=True)
    if folder.is_of_other_source(source_of(config)):
        log.warning(
            "%s was finished by other source than the present one: the same command with overwrite=true repeats it",
            folder.path,
        )
    return Outcome(folder.path, summary, skipped=True)


def has_data(config: Config) -> bool:
    """Whether the reference data that a run needs is there."""
    if config.names["data"] == "none":
        return True
    general = config.general
    return config.data.source().is_cached(config.physics, general.precision, general.data)


def check_folders(plain: dict[str, Any], folders: Iterable[Path], data_is_there: bool) -> None:
    """Refuse folders that cannot be written, before anything is computed that would go there.

    That of the data need not be writable where the data is there and no compiled programs are kept.

    Raises:
        ConfigError: names the key.
    """
    places = [("runs_dir", path) for path in folders]
    if plain["compilation_cache"] or not data_is_there:
        places.append(("data_dir", Path(plain["data_dir"]).expanduser()))
    for key, path in places:
        check_folder(key, plain[key], path)


def check_folder(key: str, value: str, path: Path) -> None:
    """Refuse a folder that cannot be written.

    Raises:
        ConfigError: it cannot; says what keeps it.
    """
    if (told := obstacle(path)) is not None:
        raise ConfigError(f"{key}={shown(value)}: allowed is a folder that can be written ({told})")


def plan_of(config: Config) -> Plan:
    """Return how long a run trains, in what batches, with which seed and metric."""
    general = config.general
    return Plan(general.epochs, general.batch_size, general.seed, general.metric)


def begin(config: Config, folder: RunFolder) -> None:
    """Write into a folder that is held what is known before training."""
    if config.general.overwrite:
        folder.discard()
    source = source_of(config)
    # A run that goes on from a checkpoint is of the sources of all its parts.
    earlier = folder.sources() if folder.checkpoint.exists() else []
    if folder.checkpoint.exists() and folder.is_of_other_source(source):
        log.warning(
            "%s goes on from a checkpoint that other source than the present one wrote: overwrite=true begins anew",
            folder.path,
        )
    earlier = [x for x in dict.fromkeys(earlier) if x != source]
    folder.begin(config.plain, {**provenance(), "source": source, "earlier_sources": earlier})


@contextmanager
def working(folders: Sequence[RunFolder]) -> Iterator[None]:
    """Hold run folders; what ends the work on them early is noted in those that are not finished.

    Raises:
        RunIsHeld: another process holds one of them.
    """
    with ExitStack() as held:
        for folder in folders:
            folder.acquire()
            held.callback(folder.release)
        try:
            yield
        except KeyboardInterrupt:
            _note(folders, "interrupted")
            raise
        except Exception:
            _note(folders, "failed", traceback=traceback.format_exc())
            raise


def _note(folders: Sequence[RunFolder], status: str, **details: Any) -> None:
    for folder in folders:
        with if_possible():
            if folder.finished_summary() is None:
                folder.set_status(status, **details)


def _train(
    config: Config, task: Task, schedule: Schedule, converged: int, folder: RunFolder, experiment: str | None
) -> tuple[dict[str, Any], bool]:
    general = config.general
    transformation = config.optimizer.transformation()
    graph, state = initialise(config, transformation)
    state = state._replace(cache=task.cold_cache())
    arrays = task.arrays()
    compiled = compile_run(task, graph, state, arrays, transformation, general.batch_size, scans_well(config))
    training = Run(task, compiled, arrays, schedule, plan_of(config))
    result = training.start(state)
    saver = Saver(folder.checkpoint, general.checkpoint_seconds)
    resumed = resume(folder, result, schedule, compiled.seconds)
    neighbours = Neighbours()

    info = describe(config, folder, result, converged, experiment)
    sinks = build_sinks(config)
    for sink in sinks:
        sink.start(info)
    summary = None
    try:
        with deferred() as interrupts:
            status, details = _advance(training, result, sinks, saver, interrupts)
        summary = summarise(result.rows, config.identity(), converged, compiled.compilations, status)
        # Nobody knows what went on beside the part of a run that another process computed.
        details["busy_elsewhere"] = None if resumed else neighbours.share()
        folder.end(result.rows, summary, **details)
    except KeyboardInterrupt:
        with if_possible():
            saver.save(result)
        raise
    finally:
        for sink in sinks:
            sink.finish(summary)
    return summary, resumed


@contextmanager
def if_possible() -> Iterator[None]:
    """Warn where a file cannot be written: a full disk must not hide why the run ends."""
    try:
        yield
    except OSError as error:
        log.warning("%s", error)


def _advance(
    training: Run, result: RunResult, sinks: list[Sink], saver: Saver, interrupts: Interrupts
) -> tuple[str, dict[str, Any]]:
    try:
        for row in training.advance(result):
            for sink in sinks:
                sink.row(row)
            if row["epoch"] < training.epochs:
                saver.maybe_save(result)
                interrupts.check()
    except Diverged as reason:
        return "diverged", {"reason": str(reason)}
    return "finished", {}


def describe(
    config: Config, folder: RunFolder, result: RunResult, converged: int, experiment: str | None
) -> RunInfo:
    """Return what sinks are told of a run."""
    return RunInfo(
        name=folder.path.name,
        folder=folder.path,
        identity=config.identity(),
        config=config.plain,
        epochs=config.general.epochs,
        done=max(0, len(result.rows) - 1),
        converged_iterations=converged,
        experiment=experiment,
        rows=tuple(result.rows),
    )


def resume(folder: RunFolder, result: RunResult, schedule: Schedule, seconds_compile: float) -> bool:
    """Continue `result` from the folder's checkpoint and return `True`, if it has a whole one.

    Raises:
        ConfigError: it holds another kind of schedule's state.
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
    # The rows so far stand as they were recorded; this process's compilation is added to theirs.
    result.rows[0]["seconds_compile"] += seconds_compile
    return True
