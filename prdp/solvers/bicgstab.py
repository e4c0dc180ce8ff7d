"""BiCGStab."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator, inner, norm, power_of_two_scale
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, ratio, start
from prdp.solvers.status import Status


class BiCGStabState(NamedTuple):
    """The iterate, its recursive residual, `r_0`, the direction, `rho = r_0.r`, and the failure code per system."""

    value: Array
    residual: Array
    shadow: Array
    direction: Array
    rho: Array
    failure: Array


@dataclass(frozen=True)
class BiCGStab(Solver):
    """Stabilised biconjugate gradient for nonsingular `A`. The shadow residual is `r_0`, the residual of the guess.

    alpha = rho / (r_0.A p), s = r - alpha A p, omega = (A s.s) / (A s.A s), u <- u + alpha p + omega s,
    r <- s - omega A s, rho' = r_0.r, beta = (rho' / rho) (alpha / omega), p <- r + beta (p - omega A p).

    The residual comes from the recursion. It deviates from `b - A u` by about one rounding error of its largest value
    so far, which in float32 can hide a failure to converge. `s = 0` means convergence. If `r != 0`, a zero `r_0.A p`,
    `A s.s` or `rho'` is a `BREAKDOWN`. `r_0.A p` counts as zero already at rounding level, because the resulting step
    would be so large that `u` is lost in it.

    Source: van der Vorst 1992; Saad, *Iterative Methods for Sparse Linear Systems*, algorithm 7.7.
    """

    preconditionable: ClassVar[bool] = True

    @property
    def matvecs_per_iteration(self) -> int:
        """Two products per iteration: `A p` and `A s`."""
        return 2

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> BiCGStabState:
        """Return the state at `guess`. Its residual is both the shadow residual and the first direction."""
        value, residual, failure = start(operator, rhs, guess)
        rho = inner(residual, residual, operator.rank)
        return BiCGStabState(value, residual, residual, residual, rho, failure)

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: BiCGStabState) -> BiCGStabState:
        """Return the state after one iteration, which costs two products with `A`."""
        rank = operator.rank
        image = operator.mv(state.direction)
        # Apply the method to `c A`, with c near one over the size of an image, to avoid overflow and underflow.
        scale = power_of_two_scale(jax.lax.stop_gradient(image), rank)
        image = image * scale
        divisor = inner(state.shadow, image, rank)
        # Below this threshold, r would be lost to rounding in s = r - alpha A p.
        epsilon = jnp.finfo(divisor.dtype).eps
        step, size = jnp.abs(state.rho) * norm(image, rank), norm(state.residual, rank)
        divisor = jnp.where(epsilon * step >= jnp.abs(divisor) * size, 0, divisor)
        alpha = ratio(state.rho, divisor)
        half = state.residual - expand(alpha, rank) * image
        half_image = operator.mv(half) * scale
        omega = ratio(inner(half_image, half, rank), inner(half_image, half_image, rank))
        change = expand(alpha, rank) * state.direction + expand(omega, rank) * half
        value = state.value + change * scale
        residual = half - expand(omega, rank) * half_image
        rho = inner(state.shadow, residual, rank)
        beta = ratio(rho, state.rho) * ratio(alpha, omega)
        direction = residual + expand(beta, rank) * (state.direction - expand(omega, rank) * image)
        broken = (divisor == 0) | (omega == 0) | (rho == 0)
        failure = flag(state.failure, broken & (inner(residual, residual, rank) > 0), Status.BREAKDOWN)
        return BiCGStabState(value, residual, state.shadow, direction, rho, failure)
