"""What every differentiation mode is given and gives back."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from prdp.linalg import Operator, power_of_two_scale
from prdp.solvers import Iterated, Record, Solver, Status, iterate


class Solution(NamedTuple):
    """The result of a solve.

    Attributes:
        value: `u^[K]`, shape of the right-hand side; NaN where the status says that there is no value.
        residual_norm: relative residual `||b - A u||_2 / ||b||_2` (paper, eq. 6) of each system.
        iterations: iterations that each system used, int32.
        matvecs: products with `A` that each system used, int32 (comparable across solvers).
        status: a `prdp.Status` of each system; `prdp.Status(int(s)).advice` says what to try next.
    """

    value: Float[Array, "..."]
    residual_norm: Float[Array, "..."]
    iterations: Int[Array, "..."]
    matvecs: Int[Array, "..."]
    status: Int[Array, "..."]


class AdjointCost(NamedTuple):
    """What the backward pass cost, as floats (they come back as the gradient with respect to a zero).

    Pass `AdjointCost.zero()` as `adjoint_cost` of `prdp.solve` and differentiate with respect to it too: its
    "gradient" is the number of adjoint iterations and of products with `A^T`, summed over the solves of the
    program.
    """

    iterations: Any
    matvecs: Any

    @classmethod
    def zero(cls) -> "AdjointCost":
        """Return the zeros to start from."""
        return cls.of(0, 0)

    @classmethod
    def of(cls, iterations: Any, matvecs: Any) -> "AdjointCost":
        """Return the cost as floats of the precision in force."""
        kind = jnp.result_type(float)
        return cls(jnp.asarray(iterations, kind), jnp.asarray(matvecs, kind))


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
    """

    takes_adjoint_guess: ClassVar[bool] = False

    @abstractmethod
    def run(self, solver: Solver, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
        """Solve, with this mode's vector-Jacobian product attached to `value`."""

    def check(self, solver: Solver, operator: Operator) -> None:  # noqa: B027
        """Refuse a solver or an operator for which this mode is not defined.

        Raises:
            ValueError: it is one.
        """

    def prepare(self, iterations: Any) -> "Mode":
        """Return the mode with whatever it derives from K, if K is a number; called before tracing.

        Raises:
            ValueError: the mode cannot serve this K.
        """
        return self


class Solved(NamedTuple):
    """The end of a loop on `s A u = s b`, `s` a power of two per system."""

    value: Any
    result: Iterated
    scale: Any


def solve_scaled(
    solver: Solver, problem: Problem, controls: Controls, record: Record | None = None
) -> Solved:
    """Run the loop on `s A u = s b`; `value` is that of the unscaled system."""
    operator, rhs, guess, _ = problem
    prepared = solver.prepare(operator)
    scale = power_of_two_scale(rhs, operator.rank)
    guess = None if guess is None else guess * scale
    result = iterate(solver, prepared, rhs * scale, guess, controls.iterations, controls.tolerance, record)
    return Solved(solver.solution(prepared, result.state) / scale, result, scale)


def package(
    solver: Solver, result: Iterated, value: Array, guessed: bool, room: int | None = None
) -> Solution:
    """Return the `Solution` of a finished loop, its value NaN where the status says that there is none."""
    status = result.status
    if room is not None:
        status = jnp.where(result.largest > room, jnp.int32(Status.BUFFER_TOO_SMALL), status)
    worst_with_value = max(s for s in Status if s.has_value)
    has_value = (status <= worst_with_value).reshape(status.shape + (1,) * (value.ndim - status.ndim))
    return Solution(
        value=jnp.where(has_value, value, jnp.nan),
        residual_norm=jax.lax.stop_gradient(result.residual),
        iterations=result.iterations,
        matvecs=result.iterations * solver.matvecs_per_iteration + int(guessed),
        status=status,
    )


def adjoint_cost(solver: Solver, iterations: Array, guessed: bool = False) -> AdjointCost:
    """Return the cost of so many adjoint iterations; a guess costs one more product."""
    return AdjointCost.of(iterations, iterations * solver.matvecs_per_iteration + int(guessed))
