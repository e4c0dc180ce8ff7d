"""Preconditioned conjugate gradient."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float

from prdp.linalg import Operator, inner
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, ratio, start
from prdp.solvers.preconditioner import Diagonal, PreconditionedOperator, Preconditioner
from prdp.solvers.status import Status


class PCGState(NamedTuple):
    """The iterate, its recursive residual, the search direction, `r.P r`, and the failure code per system."""

    value: Array
    residual: Array
    direction: Array
    squared: Array
    failure: Array


@dataclass(frozen=True)
class PCG(Solver):
    """Conjugate gradient with a symmetric definite preconditioner `P`, for symmetric definite `A`.

    alpha = (r.z) / (p.A p) with z = P r, u <- u + alpha p, r <- r - alpha A p, beta = (r'.z') / (r.z), p <- z' + beta p.
    The residual is that of the original system. The signs of `A` and `P` do not matter. `p.A p = 0` or `r.z = 0` with
    `r != 0` is a `BREAKDOWN`.

    Args:
        preconditioner: e.g. `prdp.Diagonal()`, `prdp.SSOR()`, `prdp.Chebyshev()`, `prdp.Multigrid()` or
            `prdp.Approximate(P)`.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, algorithm 9.1.
    """

    requires_symmetric: ClassVar[bool] = True

    preconditioner: Preconditioner = Diagonal()

    @property
    def matvecs_per_iteration(self) -> int:
        """One product, and those that `P` takes."""
        return 1 + self.preconditioner.products

    def check(self, operator: Operator) -> None:
        """Check that operator and preconditioner are declared symmetric.

        Raises:
            ValueError: If one of them is not, or if the preconditioner does not support the operator.
        """
        super().check(operator)
        self.preconditioner.check(operator)
        if not self.preconditioner.is_symmetric(operator):
            raise ValueError(
                f"PCG needs a symmetric preconditioner, and this {type(self.preconditioner).__name__} is not declared "
                "symmetric: use Preconditioned(GMRES(), ...)"
            )

    def prepare(self, operator: Operator) -> PreconditionedOperator:
        """Return `A` and `P`."""
        return PreconditionedOperator(operator, self.preconditioner.inverse(operator))

    def system(self, prepared: Operator) -> Operator:
        """Return `A`."""
        assert isinstance(prepared, PreconditionedOperator)
        return prepared.original

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> PCGState:
        """Return the state at `guess`."""
        assert isinstance(operator, PreconditionedOperator)
        value, residual, failure = start(operator.original, rhs, guess)
        direction = operator.inverse.mv(residual)
        return PCGState(value, residual, direction, inner(residual, direction, operator.rank), failure)

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: PCGState) -> PCGState:
        """Return the state after one iteration, which costs one product with `A` and one with `P`."""
        assert isinstance(operator, PreconditionedOperator)
        rank = operator.rank
        image = operator.original.mv(state.direction)
        curvature = inner(state.direction, image, rank)
        alpha = expand(ratio(state.squared, curvature), rank)
        residual = state.residual - alpha * image
        scaled = operator.inverse.mv(residual)
        squared = inner(residual, scaled, rank)
        beta = expand(ratio(squared, state.squared), rank)
        stuck = (curvature == 0) | (state.squared == 0)
        failure = flag(
            state.failure, stuck & (inner(state.residual, state.residual, rank) > 0), Status.BREAKDOWN
        )
        return PCGState(
            state.value + alpha * state.direction,
            residual,
            scaled + beta * state.direction,
            squared,
            failure,
        )
