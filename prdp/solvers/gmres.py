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
    """The current iterate, its residual `b - A u`, and the failure code of each system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class GMRES(Solver):
    """GMRES(m): one iteration is a whole restart cycle, the unit in which the paper counts K.

    A cycle adds to u the `z` of the Krylov space of `A` and `r`, of dimension m, that minimises `||r - A z||_2` (see
    `correction`), and computes the residual of the new `u` with one more product.

    A cycle that does not lower the norm of this residual is rejected: `u` and `r` stay as they were. It would be
    repeated for ever, since the next one starts from the same place: the system is then `STAGNATED` and its iteration
    ends. Differentiable by unrolling as well; a rejected cycle passes derivatives on.

    Args:
        restart: `m`, at least 1.

    Raises:
        ValueError: `restart` is below 1.

    Source: paper, Algorithm 3; Saad & Schultz 1986.
    """

    restart: int = 8
    preconditionable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        integer("restart", self.restart, 1, 10_000)

    @property
    def measures_residual(self) -> bool:
        """Every cycle ends with `b - A u`."""
        return True

    @property
    def matvecs_per_iteration(self) -> int:
        """`restart` products a cycle, and one for its residual."""
        return self.restart + 1

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> GMRESState:
        """Return the state at `guess`."""
        return GMRESState(*start(operator, rhs, guess))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: GMRESState) -> GMRESState:
        """Return the state one restart cycle on."""
        rank = operator.rank
        size = min(self.restart, operator.size)
        value = state.value + correction(size, operator, state.residual)
        # Without the barrier XLA computes the product once for the norm and once for the state.
        residual = jax.lax.optimization_barrier(rhs - operator.mv(value))
        # As in the Arnoldi process, so that XLA sees that it is the same number.
        flat = (*residual.shape[: residual.ndim - rank], operator.size)
        before, after = norm(state.residual.reshape(flat), 1), norm(residual.reshape(flat), 1)
        # Reductions below a few roundings are noise: the next cycle would see the same residual.
        lowered = after < (1 - 10 * jnp.finfo(before.dtype).eps) * before
        new = GMRESState(value, residual, state.failure)
        failure = flag(state.failure, ~lowered & (before > 0) & (before < jnp.inf), Status.STAGNATED)
        return select(lowered, new, state)._replace(failure=failure)
