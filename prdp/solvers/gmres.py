"""Restarted GMRES."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import integer
from prdp.linalg import Operator, norm
from prdp.solvers.base import Solver, flag, start
from prdp.solvers.iterate import select
from prdp.solvers.minimal_residual import correction
from prdp.solvers.status import Status


class GMRESState(NamedTuple):
    """The current iterate, its residual `b - A u`, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class GMRES(Solver):
    """Restarted GMRES(m). One iteration is a full restart cycle, the unit in which the paper counts K.

    A cycle adds to `u` the `z` that minimises `||r - A z||_2` in the m-dimensional Krylov space of `A` and `r` (see
    `correction`). It then computes the residual of the new `u` with one more product.

    A cycle that does not reduce the residual norm is rejected: `u` and `r` keep their values. Since the next cycle
    would repeat it exactly, the iteration of that system ends as `STAGNATED`. GMRES supports unrolled
    differentiation; a rejected cycle passes derivatives through. Prefer `prdp.Implicit()`: with a small `restart`, the
    coefficients of a cycle depend so strongly on its residual that the unrolled gradient can be orders of magnitude
    too large, although the solution converges (see `prdp.differentiation.reverse.ReverseMode`).

    Args:
        restart: `m`, the dimension of the Krylov space, from 1 to 10,000.

    Raises:
        ValueError: If `restart` is not an integer in that range.

    Source: paper, Algorithm 3; Saad & Schultz 1986.
    """

    restart: int = 8
    preconditionable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        integer("restart", self.restart, 1, 10_000)

    @property
    def measures_residual(self) -> bool:
        """True: every cycle ends by computing `b - A u`."""
        return True

    @property
    def matvecs_per_iteration(self) -> int:
        """`restart` products per cycle, and one for its residual."""
        return self.restart + 1

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> GMRESState:
        """Return the state at `guess`."""
        return GMRESState(*start(operator, rhs, guess))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: GMRESState) -> GMRESState:
        """Return the state after one restart cycle."""
        rank = operator.rank
        size = min(self.restart, operator.size)
        value = state.value + correction(size, operator, state.residual)
        # Without the barrier, XLA computes the product twice: for the norm and for the state.
        residual = jax.lax.optimization_barrier(rhs - operator.mv(value))
        # Reduce in the same shape as the Arnoldi process, so that XLA recognises the common norm.
        flat = (*residual.shape[: residual.ndim - rank], operator.size)
        before, after = norm(state.residual.reshape(flat), 1), norm(residual.reshape(flat), 1)
        # A reduction of a few rounding errors is noise: the next cycle would start from the same residual.
        lowered = after < (1 - 10 * jnp.finfo(before.dtype).eps) * before
        new = GMRESState(value, residual, state.failure)
        failure = flag(state.failure, ~lowered & (before > 0) & (before < jnp.inf), Status.STAGNATED)
        return select(lowered, new, state)._replace(failure=failure)
