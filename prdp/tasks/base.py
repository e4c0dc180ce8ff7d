"""The task interface."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from prdp.checks import Mismatch, integer
from prdp.data import TrajectoryData
from prdp.differentiation import AdjointStats, Controls, Mode, Solution
from prdp.linalg import Operator
from prdp.linear_solve import solve
from prdp.physics.base import Physics, TimeStepper, materialise
from prdp.solvers import Solver
from prdp.tasks.warm_start import Cache, Guess


@dataclass(frozen=True)
class SolveSettings:
    """How the physics is solved: the arguments that a task passes to `prdp.solve` besides the system and `Controls`.

    Attributes:
        solver: the linear solver.
        differentiation: the differentiation mode.
        tolerance: relative residual of a converged solve.
        dense: whether operators that change with the state are materialised at every solve.
        warm_start: whether solves in training start from the solutions of the previous epoch, see `Cache`.
    """

    solver: Solver
    differentiation: Mode
    tolerance: float
    dense: bool = False
    warm_start: bool = False

    def __call__(
        self,
        operator: Operator,
        rhs: Float[Array, "..."],
        controls: Controls,
        stats: AdjointStats,
        guess: Guess = Guess(),
    ) -> Solution:
        """Solve `operator` for `rhs`, up to the iteration limit or the tolerance of `controls`.

        Args:
            operator: `A`.
            rhs: `b`, one field or a batch of fields.
            controls: K and the tolerance.
            stats: receives the statistics of the adjoint solve as its cotangent.
            guess: initial u and lambda.
        """
        if self.dense:
            operator = materialise(operator)
        return solve(
            operator,
            rhs,
            solver=self.solver,
            differentiation=self.differentiation,
            iterations=controls.iterations,
            tolerance=controls.tolerance,
            guess=jax.lax.stop_gradient(guess.value),
            adjoint_guess=guess.multiplier,
            adjoint_stats=stats,
        )

    def time_step(
        self,
        physics: TimeStepper,
        operator: Operator | None,
        state: Any,
        controls: Controls,
        stats: AdjointStats,
        guess: Guess = Guess(),
    ) -> Solution:
        """Solve for the state one time step after `state`; `operator` is `None` if it changes with the state."""
        operator = physics.operator(state) if operator is None else operator
        return self(operator, physics.rhs(state), controls, stats, guess)


class SolveTotals(NamedTuple):
    """Statistics of the solves of one update.

    Attributes:
        executed: executed iterations of the solver's loop (the maximum over the batch), summed over the solves.
        matvecs: products with `A` per sample, summed over the solves.
        residual_mean: relative residual, mean over the batch and the solves.
        residual_max: relative residual, maximum over the batch and the solves.
        status: the worst `Status` over the batch and the solves.
        values: u of each solve that started from a cached guess.
    """

    executed: Any
    matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any
    values: tuple[Any, ...] = ()

    @classmethod
    def of(cls, solution: Solution, guess: Guess = Guess()) -> "SolveTotals":
        """Return the totals of one solve that started from `guess`."""
        return cls(
            jnp.max(solution.iterations),
            jnp.max(solution.matvecs),
            jnp.mean(solution.residual_norm),
            jnp.max(solution.residual_norm),
            jnp.max(solution.status),
            () if guess.value is None else (jax.lax.stop_gradient(solution.value),),
        )

    @classmethod
    def over(cls, totals: list["SolveTotals"]) -> "SolveTotals":
        """Return the totals of several solves."""
        numbers = zip(*(t[:-1] for t in totals), strict=True)
        executed, matvecs, mean, largest, status = map(jnp.stack, numbers)
        return cls(
            jnp.sum(executed),
            jnp.sum(matvecs),
            jnp.mean(mean),
            jnp.max(largest),
            jnp.max(status),
            tuple(value for t in totals for value in t.values),
        )


class Task(ABC):
    """A loss that the training loop can minimise without knowledge of the physics.

    Attributes:
        samples: the number of training samples, which `batch_size` must divide.
        solves_per_update: the number of linear solves in one evaluation of the loss; each costs K iterations.
        constant_solves: the number of leading solves that do not depend on the parameters, and so have no adjoint.
        settings: how the physics is solved.
        physics: the physics.
        error_is_squared: whether the validation error is a squared norm (eq. 56); physics errors then are as well.
    """

    samples: int
    solves_per_update: int = 1
    constant_solves: int = 0
    settings: SolveSettings
    physics: Physics

    def cold_cache(self) -> Cache:
        """Return the cache before the first epoch: zeros, or an empty cache without warm starts."""
        if not self.settings.warm_start:
            return Cache()
        shape = (self.samples, *self.physics.shape)
        last = self.solves_per_update if self.settings.differentiation.takes_adjoint_guess else 0
        return Cache.zeros(shape, self.solves_per_update, range(self.constant_solves, last))

    error_is_squared: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def check(cls, physics: Physics, data: TrajectoryData | None, model: nnx.Module, **options: Any) -> None:
        """Check physics, data, network and options before anything is computed.

        Args:
            physics: the physics.
            data: the source of reference data, or `None`.
            model: the network, with array shapes in place of arrays.
            options: the task's own arguments.

        Raises:
            Mismatch: If the task cannot use the physics, the data or the network.
            ValueError: If an option is outside its range; the message names it.
        """

    @abstractmethod
    def arrays(self) -> Any:
        """Return the pytree of data and constant operators that `loss` and `validate` take."""

    @abstractmethod
    def loss(
        self,
        model: nnx.Module,
        arrays: Any,
        indices: Any,
        controls: Controls,
        stats: AdjointStats,
        cache: Cache = Cache(),
    ) -> tuple[Any, SolveTotals]:
        """Return the loss of a minibatch (float scalar), and the statistics of its solves.

        Args:
            model: the network.
            arrays: the pytree from `arrays`.
            indices: sample indices of the minibatch, `(batch_size,)` int32.
            controls: K and the tolerance of the solves.
            stats: one entry for each of `solves_per_update`, see `AdjointStats.of_solve`.
            cache: the initial guesses of these samples; an empty cache means zero guesses.
        """

    @abstractmethod
    def validate(self, model: nnx.Module, arrays: Any) -> dict[str, Any]:
        """Return the validation metrics, float scalars by column name. They include `val_error`."""

    def test_arrays(self, arrays: Any) -> Sequence[Any]:
        """Return `arrays` for `validate` with parts of a held-out test set in place of the validation set.

        The parts have the size of the validation set, so that no other program is compiled. The test error is the mean
        over the parts. Without a test set there are none.
        """
        return ()

    @abstractmethod
    def probe_systems(self) -> tuple[Operator, Any]:
        """Return the operator and right-hand sides of the systems on which K_epsilon is measured."""


def parts_of(test: Float[np.ndarray, "n ..."] | None, size: int) -> list[Array]:
    """Return the samples of a test set in parts of `size` samples; none without a test set."""
    return [] if test is None else [jnp.asarray(part) for part in np.split(test, len(test) // size)]


def relative_square(error: Float[Array, "n ..."], reference: Float[Array, "n ..."]) -> Float[Array, ""]:
    """Return `mean_i ||e_i||^2 / ||r_i||^2` (paper, eq. 56)."""
    axes = tuple(range(1, error.ndim))
    return jnp.mean(jnp.sum(error**2, axes) / jnp.sum(reference**2, axes))


def check_emulator(physics: Physics, data: TrajectoryData | None, model: nnx.Module) -> None:
    """Check that an emulator can be trained on trajectories with this physics, data and network.

    Raises:
        Mismatch: If the physics makes no time steps, there is no data, or the network does not map fields to fields of
            the same shape.
    """
    if not isinstance(physics, TimeStepper):
        raise Mismatch("physics", "allowed is a physics that makes time steps (prdp.physics.TimeStepper)")
    if data is None:
        raise Mismatch("data", "allowed is a source of trajectories, such as data=fourier")
    if getattr(model, "keeps_shape", False):
        return
    field = jax.ShapeDtypeStruct((2, *physics.shape), jnp.float32)
    check_output(model, (field,), field.shape, "allowed is a network from fields to fields of the same shape")


def check_output(model: nnx.Module, inputs: tuple[Any, ...], shape: tuple[int, ...], allowed: str) -> None:
    """Check that a network returns an array of a given shape.

    Args:
        model: the network, with array shapes in place of arrays.
        inputs: its arguments, as shapes.
        shape: the required shape of its output.
        allowed: the first part of the error message.

    Raises:
        Mismatch: If it does not; the message says what it returns.
    """
    graph, parameters = nnx.split(model)

    def evaluate(parameters: Any, *inputs: Any) -> Any:
        network: Any = nnx.merge(graph, parameters)
        return network(*inputs)

    try:
        output = jax.eval_shape(evaluate, parameters, *inputs)
    except (TypeError, ValueError) as error:
        raise Mismatch("model", f"{allowed} ({' '.join(str(error).split())[:200]})") from error
    found = getattr(output, "shape", None)
    if found != shape:
        returned = f"an array of shape {found}" if found is not None else f"a {type(output).__name__}"
        raise Mismatch("model", f"{allowed}: it returns {returned} where {shape} is needed")


def check_step(key: str, value: int, data: TrajectoryData | None) -> None:
    """Check that a time step is part of the reference trajectories.

    Raises:
        ValueError: If `value` is not an integer from 1 to the number of steps.
    """
    integer(key, value, 1)
    if data is not None and value > data.steps:
        raise ValueError(f"{key}={value}: allowed is 1 to data.steps={data.steps}")
