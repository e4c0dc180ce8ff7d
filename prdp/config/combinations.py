"""Checks of options of different groups against each other."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from prdp.checks import Mismatch
from prdp.config.build import is_ours
from prdp.config.config import Config
from prdp.config.errors import ConfigError
from prdp.differentiation import Mode


def check_combinations(config: Config) -> None:
    """Reject incompatible options before anything is computed.

    Raises:
        ConfigError: If two options are incompatible; the message names both.
    """
    _check_schedule(config)
    _check_task(config)
    _check_batches(config)
    _check_optimizer(config)
    if config.solve_options.warm_start and not config.solver.is_iterative:
        name = config.names["solver"]
        raise ConfigError(f"solver.warm_start=true: solver={name} solves exactly from anywhere")
    sink = config.new_sink()
    if sink is not None:
        try:
            sink.check()
        except ValueError as error:
            raise ConfigError(f"tracking={config.names['tracking']}: {error}") from error


def _check_schedule(config: Config) -> None:
    name, diff = config.names["schedule"], config.names["diff"]
    schedule = config.resolved_schedule(config.general.converged_iterations)
    if schedule.needs_errors and config.general.metric != "val_error":
        raise ConfigError(
            f"metric={config.general.metric} does not go with schedule={name}: physics errors "
            "are measured in the units of val_error (or give schedule.errors)"
        )
    if schedule.steers_tolerance and not config.diff.leaves_early:
        raise ConfigError(
            f"schedule={name} does not go with diff={diff}: it steers the "
            "tolerance, and a solve whose iterations are differentiated takes all K; allowed is, for example, "
            "diff=implicit"
        )
    _check_capacity(config.diff, schedule.known_largest_iterations)


def _check_capacity(diff: Mode, largest: int | None) -> None:
    cap = getattr(diff, "iterations_cap", None)
    if cap is None:
        return
    if largest is None:
        raise ConfigError(
            f"diff.iterations_cap={cap}: allowed only if the schedule's largest K is given too "
            "(schedule.cap, schedule.iterations or converged_iterations)"
        )
    if largest > cap:
        raise ConfigError(
            f"diff.iterations_cap={cap}: allowed is an integer >= the schedule's largest K ({largest})"
        )


def _check_batches(config: Config) -> None:
    samples = 1 if config.data is None else config.data.train_samples
    batch = config.general.batch_size
    if samples % batch:
        given = "" if config.data is None else f" (data.train_samples={samples})"
        raise ConfigError(
            f"batch_size={batch}: allowed are the divisors of the number of training samples{given}"
        )


# Many jobs of a sweep need the same check, and tracing the network for its shapes takes time.
_passed: set[Any] = set()


def _check_task(config: Config) -> None:
    names = config.names
    arguments = repr((config.task.arguments, config.model.arguments, config.physics, config.data))
    key = (config.targets["task"], config.targets["model"], arguments)
    if key in _passed:
        return
    try:
        config.targets["task"].check(
            config.physics, config.data, config.abstract_model, **config.task.arguments
        )
    except Mismatch as error:
        # The option name is more informative than the class name.
        group = error.group
        raise ConfigError(
            f"{group}={names[group]} does not go with task={names['task']}: {error.reason}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"task.{error}") from error
    config.task.check_sizes()
    try:
        if config.data is not None:
            config.data.check(config.physics)
    except Mismatch as error:
        raise ConfigError(
            f"data={names['data']} does not go with physics={names['physics']}: {error.reason}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"data.{error}") from error
    _passed.add(key)


def _check_optimizer(config: Config) -> None:
    """Reject an optimiser from another package that cannot update this network's parameters."""
    if is_ours(config.targets["optimizer"]):
        return
    parameters = nnx.state(config.abstract_model)
    name = config.names["optimizer"]

    def update() -> object:
        values = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), parameters)
        return config.optimizer.update(values, config.optimizer.init(values), values)[0]

    try:
        jax.eval_shape(update)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer={name}: {' '.join(str(error).split())[:300]}") from error
