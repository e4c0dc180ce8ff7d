"""Preconditioned conjugate gradient."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator, inner
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, ratio, start
from prdp.solvers.preconditioner import Diagonal, PreconditionedOperator, Preconditioner
from prdp.solvers.status import Status


class PCGState(NamedTuple):
    """The iterate, its recursive residual, the last direction and its `r.P r` (both zero at first), and the failure."""

    value: Array
    residual: Array
    direction: Array
    squared: Array
    failure: Array


@dataclass(frozen=True)
class PCG(Solver):
    """Conjugate gradient with a symmetric definite preconditioner `P`, for symmetric definite `A`.

    z = P r, beta = (r.z) / (r'.z'), p <- z + beta p, alpha = (r.z) / (p.A p), u <- u + alpha p, r <- r - alpha A p,
    where r'.z' is that of the iteration before, and beta = 0 in the first one.
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
        value, residual, failure = start(self.system(operator), rhs, guess)
        nothing = jnp.zeros_like(residual)
        return PCGState(value, residual, nothing, inner(nothing, nothing, operator.rank), failure)

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: PCGState) -> PCGState:
        """Return the state after one iteration, which costs one product with `A` and one with `P`."""
        assert isinstance(operator, PreconditionedOperator)
        rank = operator.rank
        scaled = operator.inverse.mv(state.residual)
        squared = inner(state.residual, scaled, rank)
        direction = scaled + expand(ratio(squared, state.squared), rank) * state.direction
        image = operator.original.mv(direction)
        curvature = inner(direction, image, rank)
        alpha = expand(ratio(squared, curvature), rank)
        stuck = (curvature == 0) | (squared == 0)
        failure = flag(
            state.failure, stuck & (inner(state.residual, state.residual, rank) > 0), Status.BREAKDOWN
        )
        residual = state.residual - alpha * image
        return PCGState(state.value + alpha * direction, residual, direction, squared, failure)
