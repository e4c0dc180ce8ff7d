"""Prepare a run from its checked configuration, and report what makes it impossible before anything is computed."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from prdp import compilation_cache
from prdp.atomic import obstacle
from prdp.checks import shown
from prdp.config import Config, ConfigError
from prdp.memory import check_memory
from prdp.physics.base import materialise
from prdp.schedules import Schedule
from prdp.solvers import PCG, Preconditioned
from prdp.source import source_digest
from prdp.tasks import SolveSettings, Task
from prdp.tracking import data_progress
from prdp.training import TrainState, converged_iterations, physics_errors

# Modules that determine a run's results, in addition to those of the configured classes ...
_TRAINING = (
    "prdp.training.loop", "prdp.training.step", "prdp.training.converged", "prdp.training.physics_errors",
    "prdp.data.trajectories",
)  # fmt: skip
# ... and imported modules that have no influence on the results.
_WITHOUT = (
    "prdp.atomic", "prdp.checks", "prdp.data.cache", "prdp.source", "prdp.training.lanes",
)  # fmt: skip


def enter(config: Config, seeds: int = 1, keep_programs: bool = True) -> None:
    """Set up JAX in this process for a configuration, and check solver, mode and memory.

    Args:
        config: the configuration.
        seeds: the number of seeds that train together.
        keep_programs: whether compiled programs are kept, if the configuration says so.

    Raises:
        ConfigError: If the solver or the differentiation mode does not suit the operator, or the run cannot fit into
            memory.
    """
    jax.config.update("jax_enable_x64", config.general.precision == "float64")
    check_platform()
    check_system(config)
    check_memory(config, seeds)
    # Last, because the checks compile small programs, and a refused configuration leaves no file behind.
    kept = keep_programs and config.general.compilation_cache
    compilation_cache.use(config.general.data / "compiled" if kept else None)


def check_platform() -> None:
    """Refuse a platform that this machine does not have.

    Raises:
        ConfigError: If JAX cannot start; names the variable.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = " ".join(str(error).split()) or "JAX found no device"
        raise ConfigError(
            f"JAX_PLATFORMS={asked}: allowed is a platform that this machine has ({reason[:300]})"
        ) from error


def check_system(config: Config) -> None:
    """Check before anything is computed that solver and differentiation mode suit the operator.

    Raises:
        ConfigError: If one of them does not.
    """
    state = jax.ShapeDtypeStruct((1, *config.physics.shape), jnp.float32)
    assemble = config.physics.operator
    # Some solvers check the operator's values, which are known only if it is constant.
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
    """Return the digest of the source that determines the run's results, or `None` if a part has no source."""
    targets = [target for group, target in config.targets.items() if group != "tracking"]
    parts: list[Any] = [type(config.solver), *targets]
    if isinstance(config.solver, Preconditioned):
        parts += [type(config.solver.solver), type(config.solver.preconditioner)]
    elif isinstance(config.solver, PCG):
        parts.append(type(config.solver.preconditioner))
    if config.data is not None:
        parts += [type(config.data), type(config.data.initial_condition)]
    return source_digest(parts, _TRAINING, _WITHOUT)


def has_data(config: Config) -> bool:
    """Whether the reference data of a run is cached, or the run needs none."""
    general = config.general
    return config.data is None or config.data.is_cached(config.physics, general.precision, general.data)


def prepare(config: Config) -> tuple[Task, Schedule, int]:
    """Return the task with its reference data loaded, the schedule with its open arguments filled in, and K_epsilon.

    Raises:
        ConfigError: If the solver does not converge, or the schedule does not suit K_epsilon.
    """
    physics, options, general = config.physics, config.solve_options, config.general
    operator = physics.operator() if physics.operator_is_constant else None
    dense = options.operator == "dense"
    if operator is not None and dense:
        operator = materialise(operator)
    settings = SolveSettings(config.solver, config.diff, options.tolerance, dense, options.warm_start)
    data = None
    if config.data is not None:
        report = data_progress() if general.progress else None
        data = config.data.load(physics, general.precision, general.data, report)
    task: Task = config.task(physics=physics, operator=operator, settings=settings, data=data)
    converged = general.converged_iterations
    if converged is None:
        try:
            converged = converged_iterations(config.solver, *task.probe_systems(), options.tolerance)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    schedule = config.resolved_schedule(converged)
    if schedule.needs_errors:
        most = schedule.known_largest_iterations or converged
        systems = task.probe_systems()
        errors = physics_errors(config.solver, *systems, most, options.tolerance, task.error_is_squared)
        schedule = config.resolved_schedule(converged, errors)
    mode = config.diff.with_capacity(schedule.largest_iterations)
    task.settings = dataclasses.replace(task.settings, differentiation=mode)
    return task, schedule, converged


def initialiser(config: Config) -> tuple[Any, Callable[[int], TrainState]]:
    """Return the network's structure, and a function from a seed to the state before training (one compiled call)."""
    dtype = jnp.dtype(config.general.precision)

    def build(key: Any) -> TrainState:
        _, parameters = nnx.split(config.new_model(key, dtype))
        return TrainState(parameters, config.optimizer.init(parameters))

    graph, _ = nnx.split(nnx.eval_shape(lambda: config.new_model(jax.random.key(0), dtype)))
    compiled = jax.jit(build)
    return graph, lambda seed: compiled(jax.random.key(seed))


def scans_well(config: Config) -> bool:
    """Whether an epoch should be one program. Not so for a network that is slow inside loops, see `compile_run`."""
    return bool(getattr(config.abstract_model, "loops_well", True))


def check_folders(plain: dict[str, Any], folders: Iterable[Path], data_is_there: bool) -> None:
    """Check before anything is computed that the folders of the run and of the data are writable.

    The data folder need not be writable if the data is already there and compiled programs are not kept.

    Args:
        plain: the configuration as plain values.
        folders: the run folders.
        data_is_there: whether the reference data is cached, or not needed.

    Raises:
        ConfigError: If a folder is not writable; the message names its key.
    """
    places = [("runs_dir", path) for path in folders]
    if plain["compilation_cache"] or not data_is_there:
        places.append(("data_dir", Path(plain["data_dir"]).expanduser()))
    for key, path in places:
        check_folder(key, plain[key], path)


def check_folder(key: str, value: str, path: Path) -> None:
    """Check that a folder is writable.

    Raises:
        ConfigError: If it is not; the message says why.
    """
    if (reason := obstacle(path)) is not None:
        raise ConfigError(f"{key}={shown(value)}: allowed is a folder that can be written ({reason})")
