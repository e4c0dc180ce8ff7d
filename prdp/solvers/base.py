"""The solver contract."""

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
    """One iteration `u^[k] -> u^[k+1]` for `A u = b`; a frozen dataclass of its own parameters.

    A solver knows nothing of budgets, tolerances or gradients: `iterate` runs it, a differentiation mode makes
    it differentiable. Its state carries the current `value`, the `residual` `b - A u` that belongs to it and
    `failure`, zero or the `Status` that ends the system's iteration.

    Attributes:
        requires_symmetric: refuse operators that are not declared symmetric.
        is_iterative: False where one step solves exactly, so that K has no meaning.
        is_linear: whether K steps are an affine map of right-hand side and guess, differentiable everywhere. The
            coefficients of Krylov methods depend on the residual, and have no derivative where it is zero.
        measures_residual: whether `state.residual` is computed as `b - A u` in every step. Where a recursion carries
            it along, `iterate` verifies it before it reports convergence.
        has_splitting: whether an iteration is `u <- u + M^-1 (b - A u)` with a fixed `M`: see `correction`.
        preconditionable: whether it solves any regular system from products alone, so that `Preconditioned` can
            hand it `A P`.
    """

    requires_symmetric: ClassVar[bool] = False
    is_iterative: ClassVar[bool] = True
    is_linear: ClassVar[bool] = False
    has_splitting: ClassVar[bool] = False
    preconditionable: ClassVar[bool] = False

    @property
    def measures_residual(self) -> bool:
        """False: a solver that does not say so is verified."""
        return False

    @property
    def matvecs_per_iteration(self) -> int:
        """The number of products with `A` in one iteration."""
        return 1

    def prepare(self, operator: Operator) -> Operator:
        """Return what `init`, `step` and `solution` are given as the operator; called once a solve, differentiably."""
        return operator

    def system(self, prepared: Operator) -> Operator:
        """Return `A` from what `prepare` made of it."""
        return prepared

    @abstractmethod
    def init(self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None) -> State:
        """Return the state at `guess`; `None` is zero and costs no product."""

    @abstractmethod
    def step(self, operator: Operator, rhs: Float[Array, "..."], state: State) -> State:
        """Return the state one iteration on. Must be differentiable, and finite where `failure` is set."""

    def solution(self, operator: Operator, state: State) -> Float[Array, "..."]:
        """Return the current iterate."""
        return state.value

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `M^-1 r`, for a solver with a splitting `A = M - N`.

        Raises:
            ValueError: it has none.
        """
        raise ValueError(f"{type(self).__name__} has no splitting A = M - N: use Jacobi or Richardson")

    def check(self, operator: Operator) -> None:
        """Refuse an operator that this solver is not made for.

        Raises:
            ValueError: the solver needs `A = A^T` and the operator does not declare it.
        """
        if self.requires_symmetric and not operator.symmetric:
            raise ValueError(
                f"{type(self).__name__} needs a symmetric operator, and this {type(operator).__name__} is "
                "not declared symmetric: use GMRES, BiCGStab, Jacobi or Richardson"
            )


def start(
    operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
) -> tuple[Float[Array, "..."], Float[Array, "..."], Array]:
    """Return `(value, residual, failure)` at `guess`, the beginning of every solver's state."""
    value = jnp.zeros_like(rhs) if guess is None else jnp.broadcast_to(guess, rhs.shape)
    residual = rhs if guess is None else rhs - operator.mv(value)
    batch = rhs.shape[: rhs.ndim - operator.rank]
    return value, residual, jnp.zeros(batch, jnp.int32)


def flag(failure: Array, condition: Array, status: Status) -> Array:
    """Return `failure` with `status` where `condition` holds and nothing failed before."""
    return jnp.where((failure == 0) & condition, jnp.int32(status), failure)


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """Return `numerator / denominator`, and 0 (with a zero derivative) where the denominator is 0."""
    usable = denominator != 0
    return jnp.where(usable, numerator / jnp.where(usable, denominator, 1), 0)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return `safe_divide` of a number per system, whose derivative does not underflow for tiny denominators.

    The derivative of a quotient squares the denominator: inner products of small residuals leave float32's range.
    Both are scaled by the same power of two, which is exact.
    """
    scale = power_of_two_scale(jax.lax.stop_gradient(denominator), 0)
    return safe_divide(scale * numerator, scale * denominator)
