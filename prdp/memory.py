"""The memory that a run needs at least, and the memory that there is: a run that cannot fit is refused."""

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from prdp.config import Config, ConfigError
from prdp.data import TrajectoryData
from prdp.differentiation import Mode
from prdp.linear_solve import solve
from prdp.physics.base import Physics, materialise
from prdp.solvers import Solver

# Bytes of a row of the history as Python numbers, measured.
_ROW = 2000
# The limits of control groups, version 2 and 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Need(NamedTuple):
    """A part of a run's memory.

    Attributes:
        what: the part in words.
        size: in bytes.
        keys: the configuration keys that drive it.
    """

    what: str
    size: int
    keys: tuple[str, ...]


def check_memory(config: Config, seeds: int = 1) -> None:
    """Refuse a run that needs more memory than there is, before anything is computed.

    Args:
        config: the configuration.
        seeds: the number of seeds that train together.

    Raises:
        ConfigError: If it cannot fit. The message names the largest part and the keys that drive it.
    """
    parts = needs(config, seeds)
    _refuse(config, sum(need.size for need in parts), max(parts, key=lambda need: need.size))


def check_program(config: Config, size: int) -> None:
    """Refuse a compiled update that needs more memory than there is.

    Args:
        config: the configuration.
        size: what the compiler says that the program needs, in bytes.

    Raises:
        ConfigError: If it cannot fit.
    """
    keys = ("batch_size", *_integers(config, "physics"), *_integers(config, "model"))
    _refuse(config, size, Need("the compiled update", size, keys))


def needs(config: Config, seeds: int = 1) -> list[Need]:
    """Return the parts that a run holds at the same time.

    Each is a lower bound. A solve counts with its largest single array, which is found by tracing it with shapes in
    place of numbers: a buffer of iterates, the basis of a Krylov method or a dense operator.
    """
    general, physics, data = config.general, config.physics, config.data
    item = jnp.dtype(general.precision).itemsize
    parameters = nnx.state(config.abstract_model)
    moments = jax.eval_shape(config.optimizer.init, parameters)
    state = (2 * _numbers(parameters) + _numbers(moments)) * item * seeds
    found = [
        Need("the network, its gradient and the optimiser", state, _keys_of_network(config)),
        Need("the history", general.epochs * _ROW * seeds, ("epochs",)),
        Need("the largest array of a solve", _largest_in_solve(config), _keys_of_solve(config)),
    ]
    if isinstance(data, TrajectoryData):
        fields = sum(data.sets().values()) * math.prod(physics.shape)
        counts = ("data.train_samples", "data.validation_samples", "data.test_sets")
        keys = (*counts, "data.steps", *_integers(config, "physics"))
        found.append(Need("the reference data", fields * (data.steps + 1) * item, keys))
        if data.reference_points is not None:
            finer = (data.reference_points / physics.points) ** physics.dimensions
            keys = (*counts, "data.reference_points")
            # In float64, whatever the precision of the run.
            found.append(Need("the initial states on the reference grid", int(8 * fields * finer), keys))
    return found


def available() -> int:
    """Return the bytes of memory that this process can have: of its first accelerator, else of the machine."""
    device = jax.devices()[0]
    if device.platform != "cpu" and (stats := device.memory_stats()):
        return int(stats["bytes_limit"])
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):
            # There is no such group, or it has no limit ("max").
            continue
    return min(limits)


def _refuse(config: Config, total: int, largest: Need) -> None:
    limit = available()
    if total > limit:
        given = ", ".join(f"{key}={_value(config, key)}" for key in largest.keys)
        part = "" if largest.size == total else f", {_shown(largest.size)} of it for {largest.what}"
        raise ConfigError(
            f"{given}: allowed is what fits into {_shown(limit)} of memory; "
            f"this needs at least {_shown(total)}{part}"
        )


def _largest_in_solve(config: Config) -> int:
    general = config.general
    known = config.resolved_schedule(general.converged_iterations).known_largest_iterations
    mode = config.diff.with_capacity(known or 1)
    dense = config.solve_options.operator == "dense"
    return _largest(config.physics, config.solver, mode, dense, general.batch_size, general.precision)


@functools.cache
def _largest(
    physics: Physics, solver: Solver, mode: Mode, dense: bool, batch_size: int, precision: str
) -> int:
    """Return the bytes of the largest array in a solve of a batch and its gradient."""
    field = jax.ShapeDtypeStruct((batch_size, *physics.shape), jnp.dtype(precision))

    def loss(rhs: Any, prior: Any, iterations: Any) -> Any:
        operator = physics.operator(None if physics.operator_is_constant else prior)
        operator = materialise(operator) if dense else operator
        options: Any = {"solver": solver, "differentiation": mode}
        return jnp.sum(solve(operator, rhs, iterations=iterations, tolerance=0.0, **options).value)

    program = jax.make_jaxpr(jax.grad(loss))(field, field, jax.ShapeDtypeStruct((), jnp.int32))
    return max(_arrays(program.jaxpr))


def _keys_of_network(config: Config) -> tuple[str, ...]:
    # A network that is told the shape of the fields may grow with it.
    grid = _integers(config, "physics") if "shape" in config.model.context else ()
    return (*_integers(config, "model"), *grid)


def _keys_of_solve(config: Config) -> tuple[str, ...]:
    keys = [
        "batch_size",
        *(key for group in ("physics", "solver", "diff") for key in _integers(config, group)),
    ]
    if config.solve_options.operator == "dense":
        keys.append("solver.operator")
    if not config.diff.leaves_early and _value(config, "diff.iterations_cap") is None:
        # The largest K of the schedule is the number of iterates that the gradient needs.
        keys += [
            key for key in _integers(config, "schedule") if key in ("schedule.cap", "schedule.iterations")
        ]
        keys += ["converged_iterations"] if config.general.converged_iterations is not None else []
    return tuple(keys)


def _arrays(jaxpr: Any) -> Iterator[int]:
    """Yield the bytes of every array that a program computes, also in its loops and functions."""
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            aval = variable.aval
            yield math.prod(getattr(aval, "shape", ())) * getattr(getattr(aval, "dtype", None), "itemsize", 0)
        for parameter in equation.params.values():
            for value in parameter if isinstance(parameter, tuple | list) else (parameter,):
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    yield from _arrays(inner)


def _numbers(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _integers(config: Config, group: str) -> tuple[str, ...]:
    return tuple(f"{group}.{key}" for key, value in config.plain[group].items() if type(value) is int)


def _value(config: Config, key: str) -> Any:
    group, _, leaf = key.rpartition(".")
    return (config.plain[group] if group else config.plain).get(leaf)


def _shown(size: int) -> str:
    left = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if left < 1000:
            return f"{left:.3g} {unit}"
        left /= 1000
    return f"{left:,.3g} TB"
