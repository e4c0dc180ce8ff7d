"""Jacobi relaxation."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import within
from prdp.linalg import Operator
from prdp.solvers.base import Solver, flag, safe_divide, start
from prdp.solvers.status import Status


class JacobiState(NamedTuple):
    """The current iterate, its residual `b - A u`, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Jacobi(Solver):
    """Jacobi in residual form, `u <- u + omega D^{-1} (b - A u)`.

    `D`, `L` and `U` are the diagonal and the strictly lower and upper triangular parts of `A`. With `omega = 1` the
    iterates are those of `u <- D^{-1} (b - (L + U) u)`, and the residual for the stopping test comes at no extra
    cost. The iteration converges if `rho(I - omega D^{-1} A) < 1`, linearly at that rate.

    Args:
        relaxation: omega, in `(0, 2)`.

    Raises:
        ValueError: If `relaxation` is outside `(0, 2)`.

    Source: paper, Algorithm 1 and eq. 7.
    """

    has_splitting: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True

    relaxation: float = 1.0

    def __post_init__(self) -> None:
        within("relaxation", self.relaxation, lambda x: 0 < x < 2, "0 < relaxation < 2")

    @property
    def measures_residual(self) -> bool:
        """True: every step computes `b - A u`."""
        return True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> JacobiState:
        """Return the state at `guess`. A zero on the diagonal sets the failure `SINGULAR`."""
        value, residual, failure = start(operator, rhs, guess)
        singular = jnp.any(operator.diagonal() == 0, axis=tuple(range(-operator.rank, 0)))
        return JacobiState(value, residual, flag(failure, singular, Status.SINGULAR))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: JacobiState) -> JacobiState:
        """Return the state after one iteration, which costs one product with `A`."""
        value = state.value + self.correction(operator, state.residual)
        return JacobiState(value, rhs - operator.mv(value), state.failure)

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `omega D^-1 r`."""
        return self.relaxation * safe_divide(residual, operator.diagonal())
