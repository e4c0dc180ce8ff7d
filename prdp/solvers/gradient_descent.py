"""Gradient descent with the optimal step size."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float

from prdp.linalg import Operator
from prdp.solvers.base import flag, start
from prdp.solvers.spectrum import SpectralSolver, definiteness
from prdp.solvers.status import Status


class GradientDescentState(NamedTuple):
    """The current iterate, its residual `b - A u`, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class GradientDescent(SpectralSolver):
    """Gradient descent on `u.A u/2 - b.u`, `u <- u + omega (b - A u)` with `|omega| = 2/(m + L)`.

    This is `Richardson` with the optimal step size for a spectrum in `[m, L]`. Each iteration reduces the error by at
    least the factor `(kappa-1)/(kappa+1)` with `kappa = L/m`. See `SpectralSolver` for arguments, errors and bounds.

    Source: Domke 2012, *Generic methods for optimization-based modeling*; Polyak 1964.
    """

    has_splitting: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True

    @property
    def measures_residual(self) -> bool:
        """True: every step computes `b - A u`."""
        return True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> GradientDescentState:
        """Return the state at `guess`. An operator without usable bounds sets the failure `SINGULAR`."""
        value, residual, failure = start(operator, rhs, guess)
        return GradientDescentState(value, residual, flag(failure, ~self.usable(operator), Status.SINGULAR))

    def step(
        self, operator: Operator, rhs: Float[Array, "..."], state: GradientDescentState
    ) -> GradientDescentState:
        """Return the state after one iteration, which costs one product with `A`."""
        value = state.value + self.correction(operator, state.residual)
        return GradientDescentState(value, rhs - operator.mv(value), state.failure)

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `omega r`."""
        smallest, largest = self.bounds(operator)
        return (definiteness(operator) * 2 / (smallest + largest)).astype(residual.dtype) * residual
