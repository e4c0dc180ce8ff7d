"""Steepest descent."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float

from prdp.linalg import Operator, inner
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, safe_divide, start
from prdp.solvers.status import Status


class SteepestDescentState(NamedTuple):
    """The current iterate, its recursively updated residual, and the failure code of each system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class SteepestDescent(Solver):
    """Steepest descent with the exact step `alpha = (r.r) / (r.A r)`, `u <- u + alpha r`, `r <- r - alpha A r`.

    For symmetric definite `A` (of either sign). The error falls per iteration by `(kappa-1)/(kappa+1)` in the
    energy norm. A direction without curvature, `r.A r = 0`, is a `BREAKDOWN`.

    Source: paper, Algorithm 2 and eq. 8.
    """

    requires_symmetric: ClassVar[bool] = True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> SteepestDescentState:
        """Return the state at `guess`."""
        return SteepestDescentState(*start(operator, rhs, guess))

    def step(
        self, operator: Operator, rhs: Float[Array, "..."], state: SteepestDescentState
    ) -> SteepestDescentState:
        """Return the state one descent step on: one product with `A`."""
        rank, residual = operator.rank, state.residual
        image = operator.mv(residual)
        squared, curvature = inner(residual, residual, rank), inner(residual, image, rank)
        alpha = expand(safe_divide(squared, curvature), rank)
        failure = flag(state.failure, (curvature == 0) & (squared > 0), Status.BREAKDOWN)
        return SteepestDescentState(
            state.value + alpha * residual, residual - alpha * image, failure
        )
