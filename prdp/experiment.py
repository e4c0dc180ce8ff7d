"""From a configuration to one run: build the objects, train, leave a record."""

import dataclasses
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from omegaconf import DictConfig

from prdp import compilation_cache
from prdp.config import Config, ConfigError, parse
from prdp.differentiation import Unrolled
from prdp.interrupts import Interrupts, deferred
from prdp.models import MLP, Parameters, ResNet
from prdp.models.convolution import use_winograd
from prdp.physics.base import materialise
from prdp.records import RunFolder, provenance, run_name, summarise
from prdp.schedules import Schedule
from prdp.tasks import Correction, Inverse, MixedChain, SolveSettings, Task
from prdp.tracking import Console, RunInfo, Sink, WeightsAndBiases, data_progress
from prdp.training import (
    Diverged,
    Plan,
    Run,
    RunResult,
    TrainState,
    compile_run,
    converged_iterations,
    load_checkpoint,
    physics_errors,
)
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
    config = parse(composed)
    jax.config.update("jax_enable_x64", config.general.precision == "float64")
    check_system(config)
    identity = config.identity()
    name = run_name(identity, config.determinants())
    folder = RunFolder(Path(config.general.runs_dir) / name)
    summary = folder.finished_summary()
    if summary is not None and not config.general.overwrite:
        # Its process may have been killed before it could.
        folder.checkpoint.unlink(missing_ok=True)
        return Outcome(folder.path, summary, skipped=True)

    place = Path(config.general.data_dir) / "compiled"
    compilation_cache.use(place if config.general.compilation_cache else None)
    task, schedule, converged = prepare(config)
    folder.acquire()
    try:
        # It may have been finished while this process prepared.
        summary = folder.finished_summary()
        if summary is not None and not config.general.overwrite:
            return Outcome(folder.path, summary, skipped=True)
        if config.general.overwrite:
            folder.discard()
        folder.begin(config.plain, provenance())
        summary, resumed = _train(config, task, schedule, converged, folder, experiment)
    except KeyboardInterrupt:
        with _if_possible():
            folder.set_status("interrupted")
        raise
    except Exception:
        with _if_possible():
            folder.set_status("failed", traceback=traceback.format_exc())
        raise
    finally:
        folder.release()
    return Outcome(folder.path, summary, skipped=False, resumed=resumed)


def check_system(config: Config) -> None:
    """Refuse a solver that does not suit the operator, before anything is computed."""
    state = jax.ShapeDtypeStruct((1, *config.physics.shape), jnp.float32)
    assemble = config.physics.operator
    # Some solvers look at the values, where there are any yet.
    operator = assemble() if config.physics.operator_is_constant else jax.eval_shape(assemble, state)
    try:
        config.solver.check(operator)
    except ValueError as error:
        physics, solver = config.names["physics"], config.names["solver"]
        raise ConfigError(f"solver={solver} does not go with physics={physics}: {error}") from error
    try:
        config.diff.check(config.solver, operator)
    except ValueError as error:
        diff = config.names["diff"]
        raise ConfigError(f"diff={diff} does not go with this solver and physics: {error}") from error


def prepare(config: Config) -> tuple[Task, Schedule, int]:
    """Return the task with its reference data loaded, the schedule, and K_epsilon.

    Raises:
        ConfigError: the solver does not converge, or the schedule does not suit K_epsilon.
    """
    physics, common = config.physics, config.solver_common
    operator = physics.operator() if physics.operator_is_constant else None
    dense = common.operator == "dense"
    if operator is not None and dense:
        operator = materialise(operator)
    settings = SolveSettings(config.solver, config.diff, common.tolerance, dense, common.warm_start)
    options = {f.name: getattr(config.task, f.name) for f in dataclasses.fields(config.task)}
    task: Task
    if config.names["task"] == "inverse":
        assert operator is not None
        task = Inverse(physics, operator, settings, **options)
    else:
        general = config.general
        report = data_progress() if general.progress else None
        data = config.data.source().load(physics, general.precision, Path(general.data_dir), report)
        kind = MixedChain if config.names["task"] == "mixed_chain" else Correction
        task = kind(physics, operator, settings, data, **options)
    converged = config.general.converged_iterations
    if converged is None:
        try:
            converged = converged_iterations(config.solver, *task.probe_systems(), common.tolerance)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    schedule = config.schedule_for(converged)
    if config.measures_errors:
        # Only the parameter error of the inverse problem is a norm and not a square.
        squared, most = config.names["task"] != "inverse", schedule.largest_iterations
        errors = physics_errors(config.solver, *task.probe_systems(), most, common.tolerance, squared)
        schedule = config.schedule_for(converged, errors)
    if isinstance(config.diff, Unrolled) and config.diff.iterations_cap is None:
        mode = dataclasses.replace(config.diff, iterations_cap=schedule.largest_iterations)
        task.settings = dataclasses.replace(task.settings, differentiation=mode)
    return task, schedule, converged


def build_model(config: Config, key: Any) -> nnx.Module:
    """Return the freshly initialised model."""
    dtype = jnp.dtype(config.general.precision)
    if config.names["model"] == "parameters":
        return Parameters(config.model.initial, dtype)
    shape, rngs = config.physics.shape, nnx.Rngs(key)
    if config.names["model"] == "resnet":
        options = config.model
        return ResNet(
            shape,
            options.channels,
            options.blocks,
            options.boundary,
            options.convolution,
            rngs=rngs,
            dtype=dtype,
        )
    return MLP(shape, config.model.width, config.model.depth, rngs=rngs, dtype=dtype)


def scans_well(config: Config) -> bool:
    """Whether an epoch should be one program: not with XLA's convolutions on the CPU (see `compile_run`)."""
    if config.names["model"] != "resnet" or jax.default_backend() != "cpu":
        return True
    return use_winograd(config.model.convolution, config.physics.shape[1:])


def initialise(config: Config, transformation: Any) -> tuple[Any, TrainState]:
    """Return the model's structure and the state before training, computed in one compiled call."""

    def build(key: Any) -> tuple[Any, TrainState]:
        graph, parameters = nnx.split(build_model(config, key))
        return graph, TrainState(parameters, transformation.init(parameters))

    key = jax.random.key(config.general.seed)
    graph, _ = nnx.split(nnx.eval_shape(lambda: build_model(config, key)))
    return graph, jax.jit(lambda key: build(key)[1])(key)


def _train(
    config: Config, task: Task, schedule: Schedule, converged: int, folder: RunFolder, experiment: str | None
) -> tuple[dict[str, Any], bool]:
    general = config.general
    transformation = config.optimizer.transformation()
    graph, state = initialise(config, transformation)
    state = state._replace(cache=task.cold_cache())
    arrays = task.arrays()
    compiled = compile_run(task, graph, state, arrays, transformation, general.batch_size, scans_well(config))
    plan = Plan(general.epochs, general.batch_size, general.seed, general.metric)
    training = Run(task, compiled, arrays, schedule, plan)
    result = training.start(state)
    saver = Saver(folder.checkpoint, general.checkpoint_seconds)
    resumed = _resume(folder, result, compiled.seconds)

    info = RunInfo(
        name=folder.path.name,
        folder=folder.path,
        identity=config.identity(),
        config=config.plain,
        epochs=general.epochs,
        done=max(0, len(result.rows) - 1),
        converged_iterations=converged,
        experiment=experiment,
        rows=tuple(result.rows),
    )
    sinks = build_sinks(config)
    for sink in sinks:
        sink.start(info)
    summary = None
    try:
        with deferred() as interrupts:
            status, details = _advance(training, result, sinks, saver, interrupts)
        summary = summarise(result.rows, config.identity(), converged, compiled.compilations, status)
        folder.end(result.rows, summary, **details)
    except KeyboardInterrupt:
        with _if_possible():
            saver.save(result)
        raise
    finally:
        for sink in sinks:
            sink.finish(summary)
    return summary, resumed


@contextmanager
def _if_possible() -> Iterator[None]:
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


def _resume(folder: RunFolder, result: RunResult, seconds_compile: float) -> bool:
    """Continue `result` from the folder's checkpoint and return `True`, if it has a whole one."""
    checkpoint = load_checkpoint(folder.checkpoint, result.state)
    if checkpoint is None:
        return False
    result.state = checkpoint.tree
    result.rows = checkpoint.meta["rows"]
    # The rows so far stand as they were recorded; this process's compilation is added to theirs.
    result.rows[0]["seconds_compile"] += seconds_compile
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in checkpoint.meta["schedule_state"].items()}
    result.schedule_state = type(result.schedule_state)(**fields)
    return True


def build_sinks(config: Config) -> list[Sink]:
    """Return the sinks that the configuration asks for."""
    sinks: list[Sink] = []
    if config.general.progress:
        sinks.append(Console())
    if config.names["tracking"] == "wandb":
        sinks.append(WeightsAndBiases(config.tracking))
    return sinks
