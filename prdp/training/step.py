"""The one compiled update: an epoch of minibatches with K traced."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from prdp.differentiation import AdjointCost
from prdp.tasks import Task


class TrainState(NamedTuple):
    """What training changes: parameters and optimiser state, both pytrees of arrays."""

    parameters: Any
    optimizer: Any


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
        train: `(state, arrays, order, iterations) -> (state, EpochTotals)`; donates `state`. `order` holds the sample
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
) -> Compiled:
    """Compile training and validation ahead of time, for one epoch each.

    Being compiled ahead of time, they cannot recompile silently: a call that does not fit raises instead.
    """
    traces: list[int] = []

    def update(state: TrainState, arrays: Any, indices: Any, iterations: Any) -> Any:
        def loss(parameters: Any, cost: AdjointCost) -> Any:
            return task.loss(nnx.merge(graph, parameters), arrays, indices, iterations, cost)

        differentiate = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (value, solves), (gradient, cost) = differentiate(state.parameters, AdjointCost.zero())
        changes, optimizer = transformation.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, changes)
        totals = EpochTotals(value, solves.executed, solves.matvecs, cost.matvecs, *solves[2:])
        return TrainState(parameters, optimizer), totals

    def train(state: TrainState, arrays: Any, order: Any, iterations: Any) -> Any:
        traces.append(1)
        state, totals = jax.lax.scan(
            lambda carry, indices: update(carry, arrays, indices, iterations), state, order
        )
        return state, EpochTotals(
            loss=jnp.mean(totals.loss),
            executed=jnp.sum(totals.executed),
            matvecs=jnp.sum(totals.matvecs),
            adjoint_matvecs=jnp.sum(totals.adjoint_matvecs),
            residual_mean=jnp.mean(totals.residual_mean),
            residual_max=jnp.max(totals.residual_max),
            status=jnp.max(totals.status),
        )

    def validate(parameters: Any, arrays: Any) -> Any:
        return task.validate(nnx.merge(graph, parameters), arrays)

    began = time.perf_counter()
    order = jnp.zeros((task.samples // batch_size, batch_size), jnp.int32)
    compiled_train = jax.jit(train, donate_argnums=0).lower(state, arrays, order, jnp.int32(1)).compile()
    compiled_validate = jax.jit(validate).lower(state.parameters, arrays).compile()
    return Compiled(compiled_train, compiled_validate, time.perf_counter() - began, traces)
