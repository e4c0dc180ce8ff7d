"""Converged physics: exact solvers in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from prdp.data.oseen import solve_oseen
from prdp.physics import NavierStokes
from prdp.physics.base import Physics
from prdp.solvers import solve_directly

# Host solvers take a time that one wants to see pass, and not to lose.
_SAMPLES_OF_HOST_SOLVERS = 5


def samples_at_once(physics: Physics) -> int | None:
    """Return how many samples to compute between two reports of progress, or `None` for all."""
    return _SAMPLES_OF_HOST_SOLVERS if isinstance(physics, NavierStokes) else None


def reference_solution(physics: Physics, prior: np.ndarray) -> np.ndarray:
    """Return `A(g)^-1 b(g)` in float64 for the priors `g` of a batch, whatever the precision of the run."""
    if isinstance(physics, NavierStokes):
        return solve_oseen(physics, np.asarray(prior, np.float64))
    with jax.enable_x64(True):
        g = jnp.asarray(prior, jnp.float64)
        return np.asarray(_solve(physics, g))


@jax.jit(static_argnums=0)
def _solve(physics: Physics, prior: jax.Array) -> jax.Array:
    return solve_directly(physics.operator(prior), physics.rhs(prior))
