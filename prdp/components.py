"""From a checked configuration to the objects of a run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from prdp.config import Config, ConfigError
from prdp.differentiation import Unrolled
from prdp.models import MLP, Parameters, ResNet
from prdp.models.convolution import use_winograd
from prdp.physics.base import materialise
from prdp.schedules import Schedule
from prdp.solvers import Preconditioned
from prdp.source import source_digest
from prdp.tasks import Correction, Inverse, MixedChain, SolveSettings, Task
from prdp.tracking import Console, Sink, WeightsAndBiases, data_progress
from prdp.training import TrainState, converged_iterations, physics_errors

# Beside what a configuration names, the modules that a run's numbers come from ...
_TRAINING = (
    "prdp.training.loop", "prdp.training.step", "prdp.training.converged", "prdp.training.physics_errors",
    "prdp.data.trajectories",
)  # fmt: skip
# ... and those, among what they import, that no number depends on.
_WITHOUT = (
    "prdp.atomic", "prdp.checks", "prdp.data.cache", "prdp.source", "prdp.training.lanes",
)  # fmt: skip


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


def source_of(config: Config) -> str | None:
    """Return the digest of the source that makes the run's numbers, `None` where a part has no source."""
    parts = [config.physics, config.solver, config.diff, config.schedule, config.optimizer]
    if isinstance(config.solver, Preconditioned):
        parts += [config.solver.solver, config.solver.preconditioner]
    if config.names["data"] != "none":
        data = config.data.source()
        parts += [data, data.initial_condition]
    chosen = [f"prdp.{group}s.{config.names[group]}" for group in ("task", "model")]
    return source_digest(map(type, parts), (*_TRAINING, *chosen), _WITHOUT)


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
        data = config.data.source().load(physics, general.precision, general.data, report)
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


def initialiser(config: Config, transformation: Any) -> tuple[Any, Callable[[int], TrainState]]:
    """Return the model's structure, and what makes the state before training from a seed in one compiled call."""

    def build(key: Any) -> tuple[Any, TrainState]:
        graph, parameters = nnx.split(build_model(config, key))
        return graph, TrainState(parameters, transformation.init(parameters))

    graph, _ = nnx.split(nnx.eval_shape(lambda: build_model(config, jax.random.key(0))))
    compiled = jax.jit(lambda key: build(key)[1])
    return graph, lambda seed: compiled(jax.random.key(seed))


def initialise(config: Config, transformation: Any) -> tuple[Any, TrainState]:
    """Return the model's structure and the state before training."""
    graph, initial = initialiser(config, transformation)
    return graph, initial(config.general.seed)


def build_sinks(config: Config) -> list[Sink]:
    """Return the sinks that the configuration asks for."""
    sinks: list[Sink] = []
    if config.general.progress:
        sinks.append(Console())
    if config.names["tracking"] == "wandb":
        sinks.append(WeightsAndBiases(config.tracking))
    return sinks
