"""The compiled update: an epoch of minibatches, with K as a traced argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from prdp.differentiation import AdjointStats, Controls
from prdp.linalg import vary_alike
from prdp.tasks import Cache, Task
from prdp.training.lanes import Lanes


class TrainState(NamedTuple):
    """The state that training updates: parameters, optimiser state and initial guesses, all pytrees of arrays."""

    parameters: Any
    optimizer: Any
    cache: Cache = Cache()


class EpochTotals(NamedTuple):
    """Sums, means and maxima over the updates of one epoch: scalars, or one value per lane."""

    loss: Any
    executed: Any
    matvecs: Any
    adjoint_matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any
    adjoint_residual_mean: Any
    adjoint_residual_max: Any
    adjoint_status: Any


@dataclass
class Compiled:
    """The executables of a run, and the cost of compiling them.

    Attributes:
        train: `(state, arrays, order, controls) -> (state, EpochTotals)`; donates `state`. `order` holds the sample
            indices of each minibatch, `(batches, batch_size)` int32. With several lanes, all arguments except `arrays`
            have a leading lane axis.
        validate: `(parameters, arrays) -> {column: value}`.
        seconds: wall time of compilation.
        memory: bytes that an update needs (arguments, results, temporary arrays); 0 if the compiler does not say.
        traces: one entry for each time the update was traced and compiled.
    """

    train: Callable[..., Any]
    validate: Callable[..., Any]
    seconds: float
    memory: int
    traces: list[int]

    @property
    def compilations(self) -> int:
        """The number of compilations of the update so far: 1, however K changes."""
        return len(self.traces)


def compile_run(
    task: Task,
    graph: Any,
    state: TrainState,
    arrays: Any,
    transformation: optax.GradientTransformation,
    batch_size: int,
    scan: bool = True,
    lanes: Lanes = Lanes(1),
) -> Compiled:
    """Compile training and validation ahead of time.

    Programs that are compiled ahead of time cannot recompile silently: a call with other shapes or types raises an
    error.

    Args:
        task: the task, which provides the loss and the validation.
        graph: the network's structure, from `nnx.split`.
        state: the initial state; with several `lanes`, their states stacked.
        arrays: the task's arrays.
        transformation: the optimiser.
        batch_size: samples per update.
        scan: whether a whole epoch is one program, which is fastest for dense layers. XLA's CPU convolutions are 50 to
            90 times slower inside a loop than outside. Without `scan` the program is one update, called once per
            minibatch.
        lanes: the seeds that train together.

    Raises:
        ValueError: If the cache of `state` does not have the structure of `task.cold_cache()`.
    """
    if len(state.cache.values) != len(jax.eval_shape(task.cold_cache).values):
        raise ValueError("the state's cache must be that of task.cold_cache()")
    traces: list[int] = []

    def update(state: TrainState, arrays: Any, indices: Any, controls: Controls) -> Any:
        start = state.cache.take(indices)

        def loss(parameters: Any, stats: AdjointStats, multipliers: Any) -> Any:
            model, cache = nnx.merge(graph, parameters), Cache(start.values, multipliers)
            return task.loss(model, arrays, indices, controls, stats, cache)

        differentiate = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
        # Mark the zeros as varying over devices. Otherwise their cotangent would be summed over devices.
        stats = vary_alike(AdjointStats.zeros(task.solves_per_update), state.parameters)
        (value, solves), (gradient, stats, multipliers) = differentiate(
            state.parameters, stats, start.multipliers
        )
        changes, optimizer = transformation.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, changes)
        cache = state.cache.put(indices, Cache(solves.values, multipliers))
        # The first solves do not depend on the parameters and have no adjoint.
        stats = jax.tree.map(lambda x: x[task.constant_solves :], stats)
        totals = EpochTotals(
            loss=value,
            executed=solves.executed,
            matvecs=solves.matvecs,
            adjoint_matvecs=jnp.sum(stats.matvecs),
            residual_mean=solves.residual_mean,
            residual_max=solves.residual_max,
            status=solves.status,
            adjoint_residual_mean=jnp.sum(stats.residual_mean) / max(stats.residual_mean.size, 1),
            adjoint_residual_max=jnp.max(stats.residual_max, initial=0),
            adjoint_status=jnp.max(stats.status, initial=0),
        )
        return TrainState(parameters, optimizer, cache), totals

    def train(state: TrainState, arrays: Any, order: Any, controls: Controls) -> Any:
        state, totals = jax.lax.scan(
            lambda carry, indices: update(carry, arrays, indices, controls), state, order
        )
        return state, _over_epoch(totals, jnp)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*arguments: Any) -> Any:
            traces.append(1)
            return function(*arguments)

        return traced

    def validate(parameters: Any, arrays: Any) -> Any:
        return task.validate(nnx.merge(graph, parameters), arrays)

    began = time.perf_counter()
    order = np.zeros((task.samples // batch_size, batch_size), np.int32)
    controls = traced_controls(1, task.settings.tolerance)
    order, controls = lanes.stack([order] * lanes.count), lanes.stack([controls] * lanes.count)
    program, batches = (train, order) if scan else (update, _minibatch(order, 0))
    compiled = (
        jax.jit(counted(lanes.over(program, shared=(1,))), donate_argnums=0)
        .lower(state, arrays, batches, controls)
        .compile()
    )
    compiled_validate = jax.jit(lanes.over(validate, shared=(1,))).lower(state.parameters, arrays).compile()
    seconds = time.perf_counter() - began
    whole = compiled if scan else _looping(compiled)
    return Compiled(whole, compiled_validate, seconds, _memory(compiled), traces)


def _memory(program: Any) -> int:
    needs = program.memory_analysis()
    if needs is None:
        return 0
    whole = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    # Donated arguments are results too.
    return whole - needs.alias_size_in_bytes


def test_errors(task: Task, compiled: Compiled, parameters: Any, arrays: Any) -> dict[str, Any]:
    """Return the errors on the task's test set, as `test_error...`; empty if there is none.

    Each is a float64 mean over the parts of the set, one number or one per lane.
    """
    parts = [jax.device_get(compiled.validate(parameters, part)) for part in task.test_arrays(arrays)]
    names = [name for name in parts[0] if name.startswith("val_error")] if parts else []
    return {
        name.replace("val", "test", 1): np.mean([part[name] for part in parts], axis=0, dtype=np.float64)
        for name in names
    }


def traced_controls(iterations: int, tolerance: float) -> Controls:
    """Return K and the tolerance as arrays of the types that the executables expect, so that neither recompiles."""
    return Controls(np.int32(iterations), np.asarray(tolerance, jnp.result_type(float)))


def _minibatch(order: Any, number: int) -> Any:
    """Return the sample indices of one minibatch (for each lane)."""
    return order[..., number, :]


def _looping(update: Callable[..., Any]) -> Callable[..., Any]:
    """Return an epoch that calls a compiled update once per minibatch."""

    def train(state: TrainState, arrays: Any, order: Any, controls: Controls) -> Any:
        collected = []
        for number in range(order.shape[-2]):
            state, totals = update(state, arrays, _minibatch(order, number), controls)
            collected.append(totals)
        stacked = jax.tree.map(lambda *x: np.stack(x), *jax.device_get(collected))
        return state, _over_epoch(stacked, np)

    return train


def _over_epoch(totals: EpochTotals, xp: Any) -> EpochTotals:
    """Reduce the totals over the leading axis of updates, to one number per field (and lane)."""
    return EpochTotals(
        loss=xp.mean(totals.loss, axis=0),
        executed=xp.sum(totals.executed, axis=0),
        matvecs=xp.sum(totals.matvecs, axis=0),
        adjoint_matvecs=xp.sum(totals.adjoint_matvecs, axis=0),
        residual_mean=xp.mean(totals.residual_mean, axis=0),
        residual_max=xp.max(totals.residual_max, axis=0),
        status=xp.max(totals.status, axis=0),
        adjoint_residual_mean=xp.mean(totals.adjoint_residual_mean, axis=0),
        adjoint_residual_max=xp.max(totals.adjoint_residual_max, axis=0),
        adjoint_status=xp.max(totals.adjoint_status, axis=0),
    )
