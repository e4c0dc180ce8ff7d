"""Steepest descent."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float

from prdp.checks import one_of
from prdp.linalg import Operator, inner
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, ratio, start
from prdp.solvers.status import Status

RESIDUALS = ("recursive", "recomputed")


class SteepestDescentState(NamedTuple):
    """The current iterate, its residual, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class SteepestDescent(Solver):
    """Steepest descent with exact line search, `u <- u + alpha r` with `alpha = (r.r) / (r.A r)`.

    For symmetric definite `A` (of either sign) with condition number `kappa`. Each iteration reduces the error in the
    energy norm by at least the factor `(kappa-1)/(kappa+1)`. A direction without curvature, `r.A r = 0`, is a
    `BREAKDOWN`.

    Args:
        residual: `recursive`, `r <- r - alpha A r`, as in the paper's Algorithm 2; or `recomputed`, `r = b - A u`, as
            in its released code. The latter costs a second product per iteration, but the residual cannot drift.

    Raises:
        ValueError: If `residual` is neither.

    Source: paper, Algorithm 2 and eq. 8.
    """

    residual: str = "recursive"
    requires_symmetric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("residual", self.residual, RESIDUALS)

    @property
    def measures_residual(self) -> bool:
        """Whether the residual is recomputed."""
        return self.residual == "recomputed"

    @property
    def matvecs_per_iteration(self) -> int:
        """One product, or two if the residual is recomputed."""
        return 1 if self.residual == "recursive" else 2

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> SteepestDescentState:
        """Return the state at `guess`."""
        return SteepestDescentState(*start(operator, rhs, guess))

    def step(
        self, operator: Operator, rhs: Float[Array, "..."], state: SteepestDescentState
    ) -> SteepestDescentState:
        """Return the state after one iteration."""
        rank, residual = operator.rank, state.residual
        image = operator.mv(residual)
        squared, curvature = inner(residual, residual, rank), inner(residual, image, rank)
        alpha = expand(ratio(squared, curvature), rank)
        failure = flag(state.failure, (curvature == 0) & (squared > 0), Status.BREAKDOWN)
        value = state.value + alpha * residual
        recursive = self.residual == "recursive"
        residual = residual - alpha * image if recursive else rhs - operator.mv(value)
        return SteepestDescentState(value, residual, failure)
