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
    """The current iterate, its residual `b - A u`, and the failure code of each system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Jacobi(Solver):
    """Jacobi in residual form, `u <- u + omega D^{-1} (b - A u)`.

    With `omega = 1` these are the iterates of `u <- D^{-1} (b - (L + U) u)`, and the residual that the stopping
    test needs comes for free. Converges where `rho(I - omega D^{-1} A) < 1`, linearly with that rate.

    Args:
        relaxation: omega, in `(0, 2)`.

    Raises:
        ValueError: `relaxation` is outside `(0, 2)`.

    Source: paper, Algorithm 1 and eq. 7.
    """

    has_splitting: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True

    relaxation: float = 1.0

    def __post_init__(self) -> None:
        within("relaxation", self.relaxation, lambda x: 0 < x < 2, "0 < relaxation < 2")

    @property
    def measures_residual(self) -> bool:
        """Every step computes `b - A u`."""
        return True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> JacobiState:
        """Return the state at `guess`; a zero on the diagonal is `SINGULAR`."""
        value, residual, failure = start(operator, rhs, guess)
        singular = jnp.any(operator.diagonal() == 0, axis=tuple(range(-operator.rank, 0)))
        return JacobiState(value, residual, flag(failure, singular, Status.SINGULAR))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: JacobiState) -> JacobiState:
        """Return the state one relaxation on: one product with `A`."""
        value = state.value + self.correction(operator, state.residual)
        return JacobiState(value, rhs - operator.mv(value), state.failure)

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `omega D^-1 r`."""
        return self.relaxation * safe_divide(residual, operator.diagonal())
