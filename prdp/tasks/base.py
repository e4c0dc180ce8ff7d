"""The task contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
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
    """How the physics is solved: what a task passes to `prdp.solve` besides the system and its `Controls`.

    `tolerance` is that of a converged solve. With `dense`, operators that change with the state are materialised at
    every solve. With `warm_start`, training starts solves where those of the epoch before ended, see `Cache`.
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
        """Solve `operator` for `rhs` with at most so many iterations, or to a tolerance."""
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
        """Solve for the state after `state`; `operator` is `None` where it changes with the state."""
        operator = physics.operator(state) if operator is None else operator
        return self(operator, physics.rhs(state), controls, stats, guess)


class SolveTotals(NamedTuple):
    """What the solves of one update did.

    Attributes:
        executed: passes of the solver's loop (the largest K of the batch), summed over the solves.
        matvecs: products with `A` that the loop made for each sample, summed over the solves.
        residual_mean: relative residual, mean over the batch (and the solves).
        residual_max: relative residual, largest of the batch.
        status: the worst `Status` of the batch.
        values: u of each solve that began from a cached one.
    """

    executed: Any
    matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any
    values: tuple[Any, ...] = ()

    @classmethod
    def of(cls, solution: Solution, guess: Guess = Guess()) -> "SolveTotals":
        """Return the totals of one solve that began from `guess`."""
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
    """A loss that the training loop can minimise without knowing what it is about.

    Attributes:
        samples: training samples, which `batch_size` must divide.
        solves_per_update: linear solves in one loss, each of which costs K.
        constant_solves: the first of them, whose systems no parameter reaches, so that they have no adjoint.
        settings: how the physics is solved.
        physics: what is solved.
    """

    samples: int
    solves_per_update: int = 1
    constant_solves: int = 0
    settings: SolveSettings
    physics: Physics

    def cold_cache(self) -> Cache:
        """Return the cache before the first epoch: zeros, or nothing without warm starts."""
        if not self.settings.warm_start:
            return Cache()
        shape = (self.samples, *self.physics.shape)
        last = self.solves_per_update if self.settings.differentiation.takes_adjoint_guess else 0
        return Cache.zeros(shape, self.solves_per_update, range(self.constant_solves, last))

    # Whether the validation error is a square (eq. 56), whose unit physics errors are to have.
    error_is_squared: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def check(cls, physics: Physics, data: TrajectoryData | None, model: nnx.Module, **options: Any) -> None:
        """Refuse, before anything is computed, what the task cannot use.

        Args:
            physics: what is solved.
            data: the source of reference data, if the configuration has one.
            model: the network, with shapes in place of arrays.
            options: the task's own arguments.

        Raises:
            Mismatch: If the physics, data or model is not what the task needs.
            ValueError: If an option is outside its range; the message names it.
        """

    @abstractmethod
    def arrays(self) -> Any:
        """Return the pytree of data and constant operators that `loss` and `validate` are given."""

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
        """Return the loss of the samples at `indices` (float scalar), physics solved as `controls` say.

        `stats` has one entry for each of `solves_per_update` (see `AdjointStats.of_solve`). `cache` holds where the
        solves of these samples begin; an empty one is zero.
        """

    @abstractmethod
    def validate(self, model: nnx.Module, arrays: Any) -> dict[str, Any]:
        """Return float scalars by column name, `val_error` among them."""

    @abstractmethod
    def probe_systems(self) -> tuple[Operator, Any]:
        """Return the systems on which the number K_epsilon of converged iterations is measured."""


def relative_square(error: Float[Array, "n ..."], reference: Float[Array, "n ..."]) -> Float[Array, ""]:
    """Return `mean_i ||e_i||^2 / ||r_i||^2` (paper, eq. 56)."""
    axes = tuple(range(1, error.ndim))
    return jnp.mean(jnp.sum(error**2, axes) / jnp.sum(reference**2, axes))


def check_emulator(physics: Physics, data: TrajectoryData | None, model: nnx.Module) -> None:
    """Refuse what cannot be trained on trajectories: physics, data and network of another kind.

    Raises:
        Mismatch: If the physics makes no time steps, there is no data, or the network does not map fields to fields.
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
    """Refuse a network that does not return an array of some shape.

    Raises:
        Mismatch: If it does not; says what it returns.
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
        told = f"of shape {found}" if found is not None else f"a {type(output).__name__}"
        raise Mismatch("model", f"{allowed}: it returns {told} where {shape} is needed")


def check_step(key: str, value: int, data: TrajectoryData | None) -> None:
    """Check the number of a time step of the reference trajectories.

    Raises:
        ValueError: If it is none of them.
    """
    integer(key, value, 1)
    if data is not None and value > data.steps:
        raise ValueError(f"{key}={value}: allowed is 1 to data.steps={data.steps}")
