"""The heavy ball method."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator
from prdp.solvers.base import flag, start
from prdp.solvers.spectrum import SpectralSolver, definiteness
from prdp.solvers.status import Status


class HeavyBallState(NamedTuple):
    """The iterate, its residual `b - A u`, the last update of the iterate, and the failure code per system."""

    value: Array
    residual: Array
    velocity: Array
    failure: Array


@dataclass(frozen=True)
class HeavyBall(SpectralSolver):
    """Gradient descent with momentum, `v <- beta v + alpha (b - A u)`, `u <- u + v`, starting from `v = 0`.

    `|alpha| = 4/(sqrt(L) + sqrt(m))^2` and `beta = ((sqrt(L) - sqrt(m))/(sqrt(L) + sqrt(m)))^2` are optimal for a
    spectrum in `[m, L]`. After k iterations the error is of order `k rho^k`, where `rho = (sqrt(kappa) - 1)/
    (sqrt(kappa) + 1)` and `kappa = L/m`. The error may grow at first. See `SpectralSolver` for arguments, errors and
    bounds.

    Source: Polyak 1964, *Some methods of speeding up the convergence of iteration methods*; Domke 2012, *Generic
    methods for optimization-based modeling*.
    """

    is_linear: ClassVar[bool] = True

    @property
    def measures_residual(self) -> bool:
        """True: every step computes `b - A u`."""
        return True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> HeavyBallState:
        """Return the state at `guess`, with `v = 0`. An operator without usable bounds sets the failure `SINGULAR`."""
        value, residual, failure = start(operator, rhs, guess)
        failure = flag(failure, ~self.usable(operator), Status.SINGULAR)
        return HeavyBallState(value, residual, jnp.zeros_like(value), failure)

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: HeavyBallState) -> HeavyBallState:
        """Return the state after one iteration, which costs one product with `A`."""
        smallest, largest = map(jnp.sqrt, self.bounds(operator))
        alpha = definiteness(operator) * 4 / (largest + smallest) ** 2
        beta = ((largest - smallest) / (largest + smallest)) ** 2
        kind = state.value.dtype
        velocity = beta.astype(kind) * state.velocity + alpha.astype(kind) * state.residual
        value = state.value + velocity
        return HeavyBallState(value, rhs - operator.mv(value), velocity, state.failure)
