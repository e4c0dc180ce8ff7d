"""The one compiled update: an epoch of minibatches with K traced."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from prdp.differentiation import AdjointCost, Controls
from prdp.tasks import Cache, Task


class TrainState(NamedTuple):
    """What training changes: parameters, optimiser state and where solves begin, all pytrees of arrays."""

    parameters: Any
    optimizer: Any
    cache: Cache = Cache()


class EpochTotals(NamedTuple):
    """Sums and means over the updates of one epoch, all scalars."""

    loss: Any
    executed: Any
    matvecs: Any
    adjoint_matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any


@dataclass
class Compiled:
    """The executables of a run, and what compiling them took.

    Attributes:
        train: `(state, arrays, order, controls) -> (state, EpochTotals)`; donates `state`. `order` holds the sample
            indices of each minibatch, `(batches, batch_size)` int32.
        validate: `(parameters, arrays) -> {column: value}`.
        seconds: wall time of compilation.
        compilations: how many times the update was traced and compiled: 1, whatever K does.
    """

    train: Callable[..., Any]
    validate: Callable[..., Any]
    seconds: float
    traces: list[int]

    @property
    def compilations(self) -> int:
        """The number of compilations of the update so far."""
        return len(self.traces)


def compile_run(
    task: Task,
    graph: Any,
    state: TrainState,
    arrays: Any,
    transformation: optax.GradientTransformation,
    batch_size: int,
    scan: bool = True,
) -> Compiled:
    """Compile training and validation ahead of time.

    With `scan`, a whole epoch is one program, which is fastest for dense layers. XLA's CPU convolutions are 50 to 90
    times slower inside a loop than outside one: without `scan`, the program is one update, called once a minibatch.
    Being compiled ahead of time, they cannot recompile silently: a call that does not fit raises instead.

    Raises:
        ValueError: the cache of `state` is not that of `task.cold_cache()`.
    """
    if len(state.cache.values) != len(jax.eval_shape(task.cold_cache).values):
        raise ValueError("the state's cache must be that of task.cold_cache()")
    traces: list[int] = []

    def update(state: TrainState, arrays: Any, indices: Any, controls: Controls) -> Any:
        start = state.cache.take(indices)

        def loss(parameters: Any, cost: AdjointCost, multipliers: Any) -> Any:
            model, cache = nnx.merge(graph, parameters), Cache(start.values, multipliers)
            return task.loss(model, arrays, indices, controls, cost, cache)

        differentiate = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
        (value, solves), (gradient, cost, multipliers) = differentiate(
            state.parameters, AdjointCost.zero(), start.multipliers
        )
        changes, optimizer = transformation.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, changes)
        cache = state.cache.put(indices, Cache(solves.values, multipliers))
        residuals = solves.residual_mean, solves.residual_max, solves.status
        totals = EpochTotals(value, solves.executed, solves.matvecs, cost.matvecs, *residuals)
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
    order = jnp.zeros((task.samples // batch_size, batch_size), jnp.int32)
    controls = traced_controls(1, task.settings.tolerance)
    if scan:
        run_epoch: Callable[..., Any] = (
            jax.jit(counted(train), donate_argnums=0).lower(state, arrays, order, controls).compile()
        )
    else:
        one = jax.jit(counted(update), donate_argnums=0).lower(state, arrays, order[0], controls).compile()
        run_epoch = _looping(one)
    compiled_validate = jax.jit(validate).lower(state.parameters, arrays).compile()
    return Compiled(run_epoch, compiled_validate, time.perf_counter() - began, traces)


def traced_controls(iterations: int, tolerance: float) -> Controls:
    """Return both as arrays of the kind that the executables take, so that neither ever recompiles."""
    return Controls(np.int32(iterations), np.asarray(tolerance, jnp.result_type(float)))


def _looping(update: Callable[..., Any]) -> Callable[..., Any]:
    """Return an epoch that calls a compiled update once a minibatch."""

    def train(state: TrainState, arrays: Any, order: Any, controls: Controls) -> Any:
        collected = []
        for indices in order:
            state, totals = update(state, arrays, indices, controls)
            collected.append(totals)
        stacked = jax.tree.map(lambda *x: np.stack(x), *jax.device_get(collected))
        return state, _over_epoch(stacked, np)

    return train


def _over_epoch(totals: EpochTotals, xp: Any) -> EpochTotals:
    """Return one number a field from one number an update."""
    return EpochTotals(
        loss=xp.mean(totals.loss),
        executed=xp.sum(totals.executed),
        matvecs=xp.sum(totals.matvecs),
        adjoint_matvecs=xp.sum(totals.adjoint_matvecs),
        residual_mean=xp.mean(totals.residual_mean),
        residual_max=xp.max(totals.residual_max),
        status=xp.max(totals.status),
    )
