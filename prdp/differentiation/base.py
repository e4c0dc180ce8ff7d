"""What every differentiation mode is given and gives back."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from prdp.linalg import Operator, power_of_two_scale
from prdp.linalg.norms import expand
from prdp.solvers import Iterated, Record, Solver, Status, iterate
from prdp.solvers.iterate import Leave, each


class Solution(NamedTuple):
    """The result of a solve.

    Attributes:
        value: `u^[K]`, shape of the right-hand side; NaN where the status says that there is no value.
        residual_norm: measured relative residual `||b - A u||_2 / ||b||_2` (paper, eq. 6) of each system.
        iterations: iterations that each system used, int32.
        matvecs: products with `A` that each system used, int32 (comparable across solvers).
        status: a `prdp.Status` of each system; `prdp.Status(int(s)).advice` says what to try next.
    """

    value: Float[Array, "..."]
    residual_norm: Float[Array, "..."]
    iterations: Int[Array, "..."]
    matvecs: Int[Array, "..."]
    status: Int[Array, "..."]


class AdjointStats(NamedTuple):
    """What the backward pass cost and how it ended, as floats: they come back as the "gradient" of a zero.

    Pass `AdjointStats.zero()` as `adjoint_stats` of `prdp.solve` and differentiate with respect to it too:

        def loss(theta, stats):
            return jnp.mean((prdp.solve(A, theta, iterations=k, adjoint_stats=stats).value - target) ** 2)

        gradient, stats = jax.grad(loss, argnums=(0, 1))(theta, prdp.AdjointStats.zero())
        if prdp.Status(int(stats.status)) > prdp.Status.BUDGET_SPENT:
            print(prdp.Status(int(stats.status)).advice)

    JAX adds up the gradients of one argument, so give each solve of a program a zero of its own where more than one
    has an adjoint (`AdjointStats.zeros`, `of_solve`): counts may be added, residuals and statuses may not.

    Attributes:
        iterations: adjoint iterations.
        matvecs: products with `A^T` (of reversed loops: with the VJP of `A`).
        residual_mean: measured relative residual of `A^T lambda = ubar`, mean over the batch; infinite for modes that
            do not measure it.
        residual_max: the largest of the batch, likewise.
        status: the worst `Status` of the batch. Modes that approximate `lambda` by a fixed number of steps say
            `BUDGET_SPENT`.
    """

    iterations: Any
    matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any

    @classmethod
    def zero(cls) -> "AdjointStats":
        """Return the zeros to start from."""
        return cls.zeros(())

    @classmethod
    def zeros(cls, shape: tuple[int, ...] | int) -> "AdjointStats":
        """Return zeros for several solves."""
        return cls(*(jnp.zeros(shape, jnp.result_type(float)) for _ in cls._fields))

    @classmethod
    def of(
        cls, iterations: Any, matvecs: Any, status: Any = Status.BUDGET_SPENT, residual: Any = jnp.inf
    ) -> "AdjointStats":
        """Return the stats as floats of the precision in force.

        Args:
            iterations: how many.
            matvecs: how many.
            status: of each system.
            residual: of each system, or infinity where it is not measured.
        """
        kind = jnp.result_type(float)
        residual, status = (jnp.atleast_1d(jnp.asarray(x, kind)) for x in (residual, status))
        return cls(
            jnp.asarray(iterations, kind),
            jnp.asarray(matvecs, kind),
            jnp.sum(residual) / max(residual.size, 1),
            jnp.max(residual, initial=0),
            jnp.max(status, initial=0),
        )

    def of_solve(self, index: int) -> "AdjointStats":
        """Return those of one of several solves."""
        return AdjointStats(*(x[index] for x in self))


class Problem(NamedTuple):
    """The differentiable inputs of a solve: `A u = b` from `guess`, its adjoint from `adjoint_guess`; `None` is zero.

    Of the latter the cotangent is `lambda`, the solution of the adjoint system, see `prdp.solve`.
    """

    operator: Operator
    rhs: Any
    guess: Any
    adjoint_guess: Any = None


class Controls(NamedTuple):
    """The inputs that steer a solve and have no gradient."""

    iterations: Any
    tolerance: Any


class Mode(ABC):
    """A differentiation mode; a frozen dataclass of its own parameters.

    Attributes:
        takes_adjoint_guess: whether it solves an adjoint system that can start from a guess.
        leaves_early: whether a solve may end at its tolerance. Where the iterations themselves are differentiated it
            may not: the gradient would be that of fewer steps, and zero of none.
    """

    takes_adjoint_guess: ClassVar[bool] = False
    leaves_early: ClassVar[bool] = True

    @abstractmethod
    def run(self, solver: Solver, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
        """Solve, with this mode's vector-Jacobian product attached to `value`."""

    def with_capacity(self, iterations: int) -> "Mode":
        """Return the mode with room for so many iterations, where it needs room and its own was left open."""
        return self

    def check(self, solver: Solver, operator: Operator) -> None:  # noqa: B027
        """Refuse a solver or an operator for which this mode is not defined.

        Raises:
            ValueError: this mode is not defined for them.
        """

    def prepare(self, iterations: Any) -> "Mode":
        """Return the mode with whatever it derives from K, if K is a number; called before tracing.

        Raises:
            ValueError: the mode cannot serve this K.
        """
        return self


class Solved(NamedTuple):
    """The end of a loop on `s A u = s b`, `s` a power of two per system; `value` is that of the unscaled system."""

    value: Any
    result: Iterated
    scale: Any


def solve_scaled(
    solver: Solver, problem: Problem, controls: Controls, leave: Leave = each, record: Record | None = None
) -> Solved:
    """Run the loop on `s A u = s b`."""
    operator, rhs, guess, _ = problem
    prepared = solver.prepare(operator)
    scale = power_of_two_scale(rhs, operator.rank)
    guess = None if guess is None else guess * scale
    result = iterate(
        solver, prepared, rhs * scale, guess, controls.iterations, controls.tolerance, leave, record
    )
    return Solved(result.value / scale, result, scale)


def package(result: Iterated, value: Array, room: int | None = None) -> Solution:
    """Return the `Solution` of a finished loop, its value NaN where the status says that there is none."""
    status = result.status
    if room is not None:
        largest = jnp.max(result.iterations, initial=0)
        status = jnp.where(largest > room, jnp.int32(Status.BUFFER_TOO_SMALL), status)
    return Solution(
        value=jnp.where(expand(has_value(status), value.ndim - status.ndim), value, jnp.nan),
        residual_norm=jax.lax.stop_gradient(result.residual),
        iterations=result.iterations,
        matvecs=result.products,
        status=status,
    )


def has_value(status: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Return `Status.has_value` of each system."""
    return status <= max(s for s in Status if s.has_value)


class Backward(NamedTuple):
    """The inputs of a backward pass, made safe.

    Attributes:
        problem: zero where a system's cotangent is, without non-finite parameters of its own.
        value: likewise.
        cotangent: NaN where a system has a cotangent but no value.
        live: whether a system has a cotangent that is not zero.
    """

    problem: Problem
    value: Any
    cotangent: Any
    live: Any


def backward(problem: Problem, value: Any, status: Any, cotangent: Any) -> Backward:
    """Return what a backward pass may compute with.

    A system that failed and was left out of the loss has a zero cotangent, and contributes nothing to the gradient of
    what it shares with others. With NaN among its numbers, products of zero would contribute NaN. One that failed and
    was not left out makes the gradient NaN.
    """
    operator, rank = problem.operator, problem.operator.rank
    axes = tuple(range(-rank, 0))
    live = jnp.any(cotangent != 0, axis=axes)
    cotangent = jnp.where(expand(live & ~has_value(status), rank), jnp.nan, cotangent)

    def where_live(x: Any) -> Any:
        return None if x is None else jnp.where(expand(live, rank), x, 0)

    operator, rhs, guess, adjoint_guess = problem
    problem = Problem(operator.without_non_finite(), where_live(rhs), where_live(guess), adjoint_guess)
    return Backward(problem, where_live(value), cotangent, live)
