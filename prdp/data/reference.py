"""Reference solutions by exact solvers in float64."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prdp.physics import NavierStokes
from prdp.physics.base import Physics
from prdp.solvers import solve_directly

# Host solvers are slow, so progress is reported and saved in parts of this many samples.
_SAMPLES_OF_HOST_SOLVERS = 5
# Above this number of unknowns, a dense factorisation costs more than a sparse one.
_LARGEST_DENSE = 1024


def samples_at_once(physics: Physics) -> int | None:
    """Return the number of samples to compute between two progress reports, or `None` for all."""
    return None if _choose(physics) is _on_device else _SAMPLES_OF_HOST_SOLVERS


def reference_solution(physics: Physics, prior: np.ndarray) -> np.ndarray:
    """Return `A(g)^-1 b(g)` for a batch of priors `g`, always in float64; shape `(samples, *physics.shape)`.

    The method is a fast transform if modes diagonalise `A`, the streamfunction form for Navier-Stokes, sparse LU for
    state-dependent operators with more than 1024 unknowns, and dense LU otherwise.

    Raises:
        FloatingPointError: If a Navier-Stokes solution is not accurate enough, see `solve_oseen`.
    """
    return _choose(physics)(physics, np.asarray(prior, np.float64))


def _choose(physics: Physics) -> Callable[[Any, np.ndarray], np.ndarray]:
    if isinstance(physics, NavierStokes):
        return _oseen
    # A state-dependent operator has variable coefficients, so fast transforms do not apply.
    if not physics.operator_is_constant and math.prod(physics.shape) > _LARGEST_DENSE:
        return _sparse
    return _on_device


# SciPy takes a fifth of the time in which a run starts, and only these need it.


def _oseen(physics: NavierStokes, prior: np.ndarray) -> np.ndarray:
    from prdp.data.oseen import solve_oseen

    return solve_oseen(physics, prior)


def _sparse(physics: Physics, prior: np.ndarray) -> np.ndarray:
    from prdp.data.sparse import solve_sparse

    return solve_sparse(physics, prior)


def _on_device(physics: Physics, prior: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_solve(physics, jnp.asarray(prior)))


@jax.jit(static_argnums=0)
def _solve(physics: Physics, prior: jax.Array) -> jax.Array:
    return solve_directly(physics.operator(prior), physics.rhs(prior))
