"""Converged physics: the direct solver in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from prdp.physics.base import Physics
from prdp.solvers import solve_directly


def reference_solution(physics: Physics, prior: np.ndarray) -> np.ndarray:
    """Return `A(g)^-1 b(g)` in float64 for the priors `g` of a batch, whatever the precision of the run."""
    with jax.enable_x64(True):
        g = jnp.asarray(prior, jnp.float64)
        return np.asarray(_solve(physics, g))


@jax.jit(static_argnums=0)
def _solve(physics: Physics, prior: jax.Array) -> jax.Array:
    return solve_directly(physics.operator(prior), physics.rhs(prior))
