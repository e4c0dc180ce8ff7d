"""The interface of differentiation modes, their inputs and their outputs."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from prdp.linalg import Operator, power_of_two_scale, scaled_norm
from prdp.linalg.norms import expand
from prdp.solvers import Iterated, Record, Solver, Status, iterate
from prdp.solvers.base import safe_divide
from prdp.solvers.iterate import Leave, each


class Solution(NamedTuple):
    """The result of a solve.

    Attributes:
        value: `u^[K]`, shape of the right-hand side, `(*batch, *shape)`; NaN if the status has no value.
        residual_norm: measured relative residual `||b - A u||_2 / ||b||_2` per system (paper, eq. 6), `(*batch,)`.
        iterations: iterations per system, `(*batch,)`, int32.
        matvecs: products with `A` per system, `(*batch,)`, int32 (comparable across solvers).
        status: the `prdp.Status` per system, `(*batch,)`, int32. `prdp.Status(int(s)).advice` says what to try next.
    """

    value: Float[Array, "..."]
    residual_norm: Float[Array, "..."]
    iterations: Int[Array, "..."]
    matvecs: Int[Array, "..."]
    status: Int[Array, "..."]


class AdjointStats(NamedTuple):
    """Cost and outcome of the backward pass, as floats, returned as the "gradient" with respect to a zero input.

    Pass `AdjointStats.zero()` to `prdp.solve` as `adjoint_stats`, and differentiate with respect to it as well:

        def loss(theta, stats):
            return jnp.mean((prdp.solve(A, theta, iterations=k, adjoint_stats=stats).value - target) ** 2)

        gradient, stats = jax.grad(loss, argnums=(0, 1))(theta, prdp.AdjointStats.zero())
        if prdp.Status(int(stats.status)) > prdp.Status.BUDGET_SPENT:
            print(prdp.Status(int(stats.status)).advice)

    JAX sums the gradients of an argument that is used more than once. Counts may be summed, but residuals and statuses
    may not. If a program differentiates several solves, give each its own zero (`AdjointStats.zeros`, `of_solve`).

    Attributes:
        iterations: adjoint iterations.
        matvecs: products with `A^T`, or evaluations of the VJP of `A` if a loop is reversed.
        residual_mean: measured relative residual of `A^T lambda = ubar`, mean over the batch; infinite for modes that
            do not measure it.
        residual_max: the same, maximum over the batch.
        status: the worst `Status` of the batch. Modes that approximate `lambda` by a fixed number of steps report
            `BUDGET_SPENT`.
    """

    iterations: Any
    matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any

    @classmethod
    def zero(cls) -> "AdjointStats":
        """Return zeros for one solve."""
        return cls.zeros(())

    @classmethod
    def zeros(cls, shape: tuple[int, ...] | int) -> "AdjointStats":
        """Return zeros of the given shape, for several solves."""
        return cls(*(jnp.zeros(shape, jnp.result_type(float)) for _ in cls._fields))

    @classmethod
    def of(
        cls, iterations: Any, matvecs: Any, status: Any = Status.BUDGET_SPENT, residual: Any = jnp.inf
    ) -> "AdjointStats":
        """Return the stats as floats in JAX's default precision.

        Args:
            iterations: the number of adjoint iterations.
            matvecs: the number of products.
            status: the status per system.
            residual: the relative residual per system, or infinity if it is not measured.
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
        """Return the stats of one of several solves."""
        return AdjointStats(*(x[index] for x in self))


class Problem(NamedTuple):
    """The differentiable inputs of a solve of `A u = b`. A guess of `None` means zero.

    Attributes:
        operator: `A`.
        rhs: `b`, `(*batch, *shape)`.
        guess: the initial guess of the solve.
        adjoint_guess: the initial guess of the adjoint solve. Its cotangent is `lambda`, the solution of the adjoint
            system, see `prdp.solve`.
    """

    operator: Operator
    rhs: Any
    guess: Any
    adjoint_guess: Any = None


class Controls(NamedTuple):
    """The non-differentiable inputs of a solve: K, the relative and the absolute tolerance, each also per system.

    Tangent and adjoint solves do not use `atol`: they are linear in their right-hand sides.
    """

    iterations: Any
    tolerance: Any
    atol: Any = None

    def relative_to(self, rhs: Any, rank: int) -> Any:
        """Return the tolerance relative to `||b||` that stands for both."""
        if self.atol is None:
            return self.tolerance
        return jnp.maximum(self.tolerance, safe_divide(self.atol, scaled_norm(rhs, rank)))


class Mode(ABC):
    """A differentiation mode. Implementations are frozen dataclasses of their parameters.

    Attributes:
        takes_adjoint_guess: whether the mode solves an adjoint system that can start from a guess.
        leaves_early: whether the solve may stop at the tolerance. Modes that differentiate through the iterations
            must run all K: an early stop would give the gradient of fewer steps, or zero if no step was taken.
    """

    takes_adjoint_guess: ClassVar[bool] = False
    leaves_early: ClassVar[bool] = True

    @abstractmethod
    def run(self, solver: Solver, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
        """Solve, with the vector-Jacobian product of this mode attached to `value`."""

    def with_capacity(self, iterations: int) -> "Mode":
        """Return the mode with room for so many iterations, where it needs room and its own was left open."""
        return self

    def check(self, solver: Solver, operator: Operator) -> None:  # noqa: B027
        """Check that the mode is defined for the solver and the operator.

        Raises:
            ValueError: If it is not.
        """

    def prepare(self, iterations: Any) -> "Mode":
        """Return the mode with any parameters that depend on a known K filled in. Called before tracing.

        Raises:
            ValueError: If the mode does not support this K.
        """
        return self


class Solved(NamedTuple):
    """The result of a loop on the system scaled by `s`, a power of two per system. `value` is unscaled."""

    value: Any
    result: Iterated
    scale: Any


def solve_scaled(
    solver: Solver, problem: Problem, controls: Controls, leave: Leave = each, record: Record | None = None
) -> Solved:
    """Run the loop on `A (s u) = s b`, where `s` scales each right-hand side to order one."""
    operator, rhs, guess, _ = problem
    prepared = solver.prepare(operator)
    scale = power_of_two_scale(rhs, operator.rank)
    guess = None if guess is None else guess * scale
    tolerance = controls.relative_to(rhs, operator.rank)
    result = iterate(solver, prepared, rhs * scale, guess, controls.iterations, tolerance, leave, record)
    return Solved(result.value / scale, result, scale)


def package(result: Iterated, value: Array, room: int | None = None) -> Solution:
    """Return the `Solution` of a finished loop, with NaN where the status has no value."""
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
    """Return `Status.has_value` per system."""
    return status <= max(s for s in Status if s.has_value)


class Backward(NamedTuple):
    """The inputs of a backward pass, with non-finite entries of excluded systems removed.

    Attributes:
        problem: right-hand side and guess are zero for systems whose cotangent is zero; parameters with a batch axis
            are finite.
        value: the solution, zero for systems whose cotangent is zero.
        cotangent: NaN for systems that have a nonzero cotangent but no value.
        live: whether the cotangent of a system is nonzero, `(*batch,)`.
    """

    problem: Problem
    value: Any
    cotangent: Any
    live: Any


def backward(problem: Problem, value: Any, status: Any, cotangent: Any) -> Backward:
    """Return the inputs of a backward pass, safe to multiply with zero cotangents.

    A failed system that the loss excludes has a zero cotangent and must not contribute to the gradient of shared
    parameters. Without this step it would contribute `0 * NaN = NaN`. A failed system that the loss includes makes
    the gradient NaN.
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


class Forward(NamedTuple):
    """The inputs of a tangent map, with non-finite entries of failed systems removed."""

    problem: Problem
    value: Any


def forward(problem: Problem, value: Any, status: Any) -> Forward:
    """Return the inputs of a tangent map, safe to multiply with zero tangents; see `backward`."""
    safe = jnp.where(expand(has_value(status), problem.operator.rank), value, 0)
    return Forward(problem._replace(operator=problem.operator.without_non_finite()), safe)


def is_moving(tangents: Problem, problem: Problem) -> Any:
    """Return whether a tangent of a system's operator, right-hand side or guess is nonzero, `(*batch,)`."""
    rank = problem.operator.rank
    axes = tuple(range(-rank, 0))
    moving = jnp.any(tangents.rhs != 0, axis=axes)
    if tangents.guess is not None:
        moving |= jnp.any(tangents.guess != 0, axis=axes)
    for x in jax.tree.leaves(tangents.operator):
        if getattr(x, "dtype", None) != jax.dtypes.float0:
            moving |= jnp.any(x != 0)
    return moving


def settled(tangent: Any, moving: Any, status: Any) -> Any:
    """Return the tangent of a solution: zero where nothing moves, NaN where something does and there is no value."""
    rank = tangent.ndim - moving.ndim
    tangent = jnp.where(expand(~moving, rank), 0, tangent)
    return jnp.where(expand(moving & ~has_value(status), rank), jnp.nan, tangent)
