"""The gradient of the training loss at K iterations against that of exact physics, during a training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from prdp.config import Config
from prdp.differentiation import AdjointStats, Controls, Implicit
from prdp.preparation import initialiser, prepare
from prdp.suite.stepwise import Stepwise
from prdp.training import traced_controls

# An exact solve may take this multiple of K_epsilon iterations; it ends at the precision of the numbers.
EXACT = 10


class Snapshot(NamedTuple):
    """A network during its training.

    Attributes:
        epoch: the number of epochs so far.
        iterations: K in force after them.
        error: its validation error.
        parameters: its parameters.
    """

    epoch: int
    iterations: int
    error: float
    parameters: Any


def snapshots(config: Config, epochs: Sequence[int]) -> list[Snapshot]:
    """Train with the schedule of a configuration, on the minibatches of an ordinary run, and keep some networks.

    Args:
        config: physics, model, optimiser, schedule and seed.
        epochs: ascending, from 0 (the untrained network) to the number of epochs of the configuration.
    """
    training = Stepwise(config)
    state, steering, found = training.start, training.schedule.init(), []
    for epoch in range(epochs[-1] + 1):
        if epoch:
            state = training.train(state, epoch, steering.iterations, getattr(steering, "tolerance", None))
        metric = training.validation_error(state)
        steering, iterations = training.schedule.update(steering, metric)
        if epoch in epochs:
            # Training donates its state.
            kept = jax.tree.map(jnp.copy, state.parameters)
            found.append(Snapshot(epoch, int(iterations), metric, kept))
    return found


@dataclass(eq=False)
class LossGradient:
    """The gradient of the loss of some samples with respect to the parameters of the network.

    Args:
        config: physics, solver, mode and model; with the largest K of its schedule.
        indices: of the samples.
    """

    config: Config
    indices: Any

    def __post_init__(self) -> None:
        self.task, _, self.converged = prepare(self.config)
        self._arrays = self.task.arrays()
        graph, _ = initialiser(self.config)
        self._compiled = jax.jit(lambda parameters, controls: self._gradient(graph, parameters, controls))

    def __call__(self, parameters: Any, iterations: int, tolerance: float) -> Float[Array, "p"]:
        """Return the gradient as one vector."""
        return self._compiled(parameters, traced_controls(iterations, tolerance))

    def _gradient(self, graph: Any, parameters: Any, controls: Controls) -> Any:
        stats = AdjointStats.zeros(self.task.solves_per_update)

        def loss(parameters: Any) -> Any:
            model = nnx.merge(graph, parameters)
            value, _ = self.task.loss(model, self._arrays, self.indices, controls, stats)
            return value

        return ravel_pytree(jax.grad(loss)(parameters))[0]


def errors(
    gradient: LossGradient, exact: Float[Array, "p"], parameters: Any, levels: Sequence[int]
) -> Iterator[dict[str, float]]:
    """Yield, for each K, how far a gradient is from the exact one.

    With the gradient `g` at K iterations and the exact one `g*`: `error` is `||g - g*|| / ||g*||`, `cosine` is
    `<g, g*> / (||g|| ||g*||)` and `size` is `||g|| / ||g*||`.
    """
    norm = jnp.linalg.norm
    for level in levels:
        found = gradient(parameters, level, gradient.task.settings.tolerance)
        numbers = {
            "error": norm(found - exact) / norm(exact),
            "cosine": jnp.vdot(found, exact) / (norm(found) * norm(exact)),
            "size": norm(found) / norm(exact),
        }
        yield {"iterations": level, **{key: float(x) for key, x in numbers.items()}}


def exact_gradient(gradient: LossGradient, parameters: Any) -> Float[Array, "p"]:
    """Return the gradient with solves to the precision of the numbers.

    Raises:
        ValueError: If the mode is not `Implicit`, whose gradient is exact once both solves are.
    """
    if not isinstance(gradient.task.settings.differentiation, Implicit):
        raise ValueError("the exact gradient is that of the mode implicit")
    return gradient(parameters, EXACT * gradient.converged, 0.0)
