"""The interface of linear solvers."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator, power_of_two_scale
from prdp.solvers.status import Status

# A NamedTuple of arrays with at least `value`, `residual` (both `(*batch, *shape)`) and `failure` (`(*batch,)`).
State = Any


class Solver(ABC):
    """One iteration `u^[k] -> u^[k+1]` for `A u = b`. Implementations are frozen dataclasses of their parameters.

    Solvers do not handle the iteration budget, the tolerance or gradients: `iterate` runs the loop, and a
    differentiation mode differentiates it. A solver's state holds the current `value`, its `residual` `b - A u`, and
    `failure`: zero, or the `Status` that ends the iteration of the system.

    Attributes:
        requires_symmetric: whether to reject operators that are not declared symmetric.
        is_iterative: False if one step solves the system exactly, so that K has no meaning.
        is_linear: whether K steps are an affine map of right-hand side and guess, and thus differentiable everywhere.
            The coefficients of Krylov methods depend on the residual and have no derivative where it is zero.
        measures_residual: whether every step computes `state.residual` as `b - A u`. If False, the residual comes
            from a recursion, and `iterate` verifies it before reporting convergence.
        has_splitting: whether an iteration is `u <- u + M^-1 (b - A u)` with a fixed `M`, see `correction`.
        preconditionable: whether the solver handles any nonsingular system using only products with the operator,
            so that `Preconditioned` can apply it to `A P`.
    """

    requires_symmetric: ClassVar[bool] = False
    is_iterative: ClassVar[bool] = True
    is_linear: ClassVar[bool] = False
    has_splitting: ClassVar[bool] = False
    preconditionable: ClassVar[bool] = False

    @property
    def measures_residual(self) -> bool:
        """False by default, so the residual is verified."""
        return False

    @property
    def matvecs_per_iteration(self) -> int:
        """The number of products with `A` in one iteration."""
        return 1

    def prepare(self, operator: Operator) -> Operator:
        """Return the operator that `init`, `step` and `solution` receive. Called once per solve; differentiable."""
        return operator

    def transpose(self) -> "Solver":
        """Return the solver for the transposed system of an adjoint solve, by default the same."""
        return self

    def system(self, prepared: Operator) -> Operator:
        """Return `A`, given the result of `prepare`."""
        return prepared

    @abstractmethod
    def init(self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None) -> State:
        """Return the state at `guess`. `None` is the zero guess and costs no product."""

    @abstractmethod
    def step(self, operator: Operator, rhs: Float[Array, "..."], state: State) -> State:
        """Return the state after one iteration. Must be differentiable, and finite where `failure` is set."""

    def solution(self, operator: Operator, state: State) -> Float[Array, "..."]:
        """Return the current iterate, shape `(*batch, *shape)`."""
        return state.value

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `M^-1 r`, for a solver with a splitting `A = M - N`.

        Raises:
            ValueError: If the solver has no splitting.
        """
        raise ValueError(f"{type(self).__name__} has no splitting A = M - N: use Jacobi or Richardson")

    def check(self, operator: Operator) -> None:
        """Check that the solver supports the operator.

        Raises:
            ValueError: If the solver requires `A = A^T` and the operator is not declared symmetric.
        """
        if self.requires_symmetric and not operator.symmetric:
            raise ValueError(
                f"{type(self).__name__} needs a symmetric operator, and this {type(operator).__name__} is "
                "not declared symmetric: use GMRES, BiCGStab, Jacobi or Richardson"
            )


def start(
    operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
) -> tuple[Float[Array, "..."], Float[Array, "..."], Array]:
    """Return the initial `(value, residual, failure)` at `guess`, common to the states of all solvers."""
    value = jnp.zeros_like(rhs) if guess is None else jnp.broadcast_to(guess, rhs.shape)
    residual = rhs if guess is None else rhs - operator.mv(value)
    batch = rhs.shape[: rhs.ndim - operator.rank]
    return value, residual, jnp.zeros(batch, jnp.int32)


def flag(failure: Array, condition: Array, status: Status) -> Array:
    """Return `failure` set to `status` where `condition` holds and no earlier failure is recorded."""
    return jnp.where((failure == 0) & condition, jnp.int32(status), failure)


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """Return `numerator / denominator`, and 0 (with a zero derivative) where the denominator is 0."""
    usable = denominator != 0
    return jnp.where(usable, numerator / jnp.where(usable, denominator, 1), 0)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return `safe_divide` of one value per system, with a derivative that does not underflow.

    The derivative of a quotient squares the denominator, and the square of a small inner product leaves the range of
    float32. Scaling numerator and denominator by the same power of two avoids this, and is exact.
    """
    scale = power_of_two_scale(jax.lax.stop_gradient(denominator), 0)
    return safe_divide(scale * numerator, scale * denominator)
