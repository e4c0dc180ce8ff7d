"""Conjugate gradient."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float

from prdp.linalg import Operator, inner
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, ratio, start
from prdp.solvers.status import Status


class ConjugateGradientState(NamedTuple):
    """The iterate, its recursive residual, the search direction, `r.r`, and the failure code per system."""

    value: Array
    residual: Array
    direction: Array
    squared: Array
    failure: Array


@dataclass(frozen=True)
class ConjugateGradient(Solver):
    """Hestenes-Stiefel conjugate gradient for symmetric definite `A` (of either sign).

    alpha = (r.r) / (p.A p), u <- u + alpha p, r <- r - alpha A p, beta = (r'.r') / (r.r), p <- r' + beta p.
    In exact arithmetic it converges in at most `n` iterations. `p.A p = 0` with `r != 0` is a `BREAKDOWN`.

    Source: Hestenes & Stiefel 1952; Saad, *Iterative Methods for Sparse Linear Systems*, algorithm 6.18.
    """

    requires_symmetric: ClassVar[bool] = True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> ConjugateGradientState:
        """Return the state at `guess`. Its residual is the first direction."""
        value, residual, failure = start(operator, rhs, guess)
        squared = inner(residual, residual, operator.rank)
        return ConjugateGradientState(value, residual, residual, squared, failure)

    def step(
        self, operator: Operator, rhs: Float[Array, "..."], state: ConjugateGradientState
    ) -> ConjugateGradientState:
        """Return the state after one iteration, which costs one product with `A`."""
        rank = operator.rank
        image = operator.mv(state.direction)
        curvature = inner(state.direction, image, rank)
        alpha = expand(ratio(state.squared, curvature), rank)
        residual = state.residual - alpha * image
        squared = inner(residual, residual, rank)
        beta = expand(ratio(squared, state.squared), rank)
        failure = flag(state.failure, (curvature == 0) & (state.squared > 0), Status.BREAKDOWN)
        return ConjugateGradientState(
            state.value + alpha * state.direction,
            residual,
            residual + beta * state.direction,
            squared,
            failure,
        )
