"""Limited-memory BFGS."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import integer
from prdp.linalg import Operator, inner, power_of_two_scale
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, safe_divide, start
from prdp.solvers.spectrum import definiteness
from prdp.solvers.status import Status


class Pair(NamedTuple):
    """A direction `s`, its image `y = A s`, and `s.y` per system; all zero if not yet filled."""

    direction: Array
    image: Array
    curvature: Array


class LBFGSState(NamedTuple):
    """The iterate, its recursive residual, the last pairs (oldest first), and the failure code per system."""

    value: Array
    residual: Array
    pairs: tuple[Pair, ...]
    failure: Array


@dataclass(frozen=True)
class LBFGS(Solver):
    """L-BFGS on `u.A u/2 - b.u` with exact line search, for symmetric definite `A` (of either sign).

    p = H r, alpha = (p.r) / (p.A p), u <- u + alpha p, r <- r - alpha A p. `H r` is computed by the two-loop recursion
    over the last `memory` pairs, starting from `(s.y)/(y.y)` times the identity. The method is invariant under scaling
    of the pairs, so directions are stored with magnitude near one, which avoids underflow near convergence. In exact
    arithmetic, the iterates are those of conjugate gradient for any memory (Nazareth 1979). In floating point, more
    memory preserves conjugacy better. If the curvature along a direction is zero or does not have the sign of the
    operator's diagonal, the step is a `BREAKDOWN` and the iterate is kept.

    Args:
        memory: the number of stored pairs, two fields each, from 1 to 1000.

    Raises:
        ValueError: If `memory` is not an integer in that range.

    Source: Nocedal & Wright, *Numerical optimization*, algorithms 7.4 and 7.5; Domke 2012, *Generic methods for
    optimization-based modeling*.
    """

    requires_symmetric: ClassVar[bool] = True

    memory: int = 5

    def __post_init__(self) -> None:
        integer("memory", self.memory, 1, 1000)

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> LBFGSState:
        """Return the state at `guess`, with no pairs stored."""
        value, residual, failure = start(operator, rhs, guess)
        zero = jnp.zeros_like(value)
        none = Pair(zero, zero, jnp.zeros(failure.shape, value.dtype))
        return LBFGSState(value, residual, (none,) * self.memory, failure)

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: LBFGSState) -> LBFGSState:
        """Return the state after one iteration, which costs one product with `A`."""
        rank, residual = operator.rank, state.residual
        direction = _two_loops(state.pairs, residual, rank)
        direction = direction * power_of_two_scale(jax.lax.stop_gradient(direction), rank)
        image = operator.mv(direction)
        curvature = inner(direction, image, rank)
        flat = ~(definiteness(operator) * curvature > 0)
        # A non-finite curvature is not a breakdown: the loop detects it in the residual.
        broken = flat & jnp.isfinite(curvature) & (inner(direction, direction, rank) > 0)
        curvature = jnp.where(flat, 0, curvature)
        alpha = expand(safe_divide(inner(direction, residual, rank), curvature), rank)
        return LBFGSState(
            state.value + alpha * direction,
            residual - alpha * image,
            (*state.pairs[1:], Pair(direction, image, curvature)),
            flag(state.failure, broken, Status.BREAKDOWN),
        )


def _two_loops(pairs: tuple[Pair, ...], residual: Array, rank: int) -> Array:
    """Return `H r`, where `H` is the BFGS approximation of `A^-1` from the pairs. Unfilled pairs have no effect."""
    direction, weights = residual, []
    for s, y, curvature in reversed(pairs):
        weight = expand(safe_divide(inner(s, direction, rank), curvature), rank)
        direction = direction - weight * y
        weights.append(weight)
    _, newest, curvature = pairs[-1]
    # (s.y)/(y.y), scaled because images can be very large or small, depending on the operator.
    scale = power_of_two_scale(jax.lax.stop_gradient(newest), rank)
    newest, scale = newest * scale, scale.reshape(curvature.shape)
    size = safe_divide(curvature * scale, inner(newest, newest, rank)) * scale
    direction = expand(jnp.where(size == 0, 1, size), rank) * direction
    for (s, y, curvature), weight in zip(pairs, reversed(weights), strict=True):
        again = expand(safe_divide(inner(y, direction, rank), curvature), rank)
        direction = direction + (weight - again) * s
    return direction
