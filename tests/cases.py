"""The tables that drive the suite: a new solver, mode or operator takes part by one row here."""

from collections.abc import Callable, Container, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prdp.differentiation import Implicit, Unrolled
from prdp.linalg import (
    Dense,
    FunctionOperator,
    Operator,
    backward_difference,
    couple,
    forward_difference,
    identity,
    laplacian,
)
from prdp.solvers import (
    GMRES,
    LBFGS,
    PCG,
    BiCGStab,
    Chebyshev,
    ConjugateGradient,
    Diagonal,
    Direct,
    GradientDescent,
    HeavyBall,
    Jacobi,
    Preconditioned,
    Richardson,
    Solver,
    SteepestDescent,
)


def some_fast(cases: Iterable[Any], fast: Container[Any]) -> list[Any]:
    """All cases for `parametrize`, those that are not named as fast marked as slow."""
    marked = []
    for case in cases:
        marks = () if case in fast else pytest.mark.slow
        marked.append(pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks))
    return marked


class SolverCase(NamedTuple):
    """A solver, and whether it is made for non-symmetric and for negative definite operators."""

    solver: Solver
    non_symmetric: bool
    iterations: int = 4000


SOLVERS = {
    "jacobi": SolverCase(Jacobi(), True),
    "damped_jacobi": SolverCase(Jacobi(relaxation=0.7), True),
    "richardson": SolverCase(Richardson(), True),
    "steepest_descent": SolverCase(SteepestDescent(), False),
    "steepest_descent_recomputed": SolverCase(SteepestDescent("recomputed"), False),
    "conjugate_gradient": SolverCase(ConjugateGradient(), False),
    # No eigenvalue of the operators below is smaller; Gershgorin's bound for Poisson is zero.
    "gradient_descent": SolverCase(GradientDescent(smallest_eigenvalue=1.0), False),
    "heavy_ball": SolverCase(HeavyBall(smallest_eigenvalue=1.0), False),
    "lbfgs": SolverCase(LBFGS(), False),
    "gmres_2": SolverCase(GMRES(restart=2), True),
    "gmres_3": SolverCase(GMRES(restart=3), True),
    "bicgstab": SolverCase(BiCGStab(), True),
    "gmres_3_diagonal": SolverCase(Preconditioned(GMRES(restart=3), Diagonal()), True),
    "bicgstab_diagonal": SolverCase(Preconditioned(BiCGStab(), Diagonal()), True),
    "pcg_diagonal": SolverCase(PCG(), False),
    "pcg_chebyshev": SolverCase(PCG(Chebyshev(3)), False),
    "direct": SolverCase(Direct(), True),
    "direct_dense": SolverCase(Direct(factorisation="dense"), True),
}

MODES = {"implicit": Implicit(), "unrolled": Unrolled(iterations_cap=4000)}


def heat(shape: tuple[int, ...], boundary: str, strength: Any = 0.03) -> Operator:
    """`I - strength h^2 L`, symmetric positive definite."""
    dimensions = len(shape) - 1
    eye = identity(shape, dimensions, boundary)
    return eye - strength * laplacian(shape, dimensions, 0.3, boundary)


def convection(n: int, winds: Any, boundary: str = "periodic") -> Operator:
    """`I + w+ B + w- F - 0.02 L`, the upwind operator of Burgers' equation: not symmetric, with coefficient fields."""
    backward = backward_difference((n,), 1, 0.2, boundary)
    forward = forward_difference((n,), 1, 0.2, boundary)
    advection = jnp.maximum(winds, 0) * backward + jnp.minimum(winds, 0) * forward
    return identity((n,), 1, boundary) + 0.1 * advection - 0.02 * laplacian((n,), 1, 0.2, boundary)


def coupled(grid: tuple[int, ...], boundary: str) -> Operator:
    """Two channels that see each other, one of them pinned, with a coefficient field a sample."""
    d = len(grid)
    args = (grid, d, 0.5, boundary)
    eye, diffusion = identity(grid, d, boundary), laplacian(*args)
    wind = 0.3 * random(1, 3, *grid)
    blocks = {
        (0, 0): 3.0 * eye - 0.1 * diffusion + jnp.maximum(wind, 0) * backward_difference(*args, d - 1),
        (0, 1): 0.3 * backward_difference(*args, 0),
        (1, 0): 0.2 * forward_difference(*args, 0),
        (1, 1): 2.5 * eye - 0.1 * diffusion,
    }
    return couple(blocks, pins={1: 0.4})


def random(key: int, *shape: int) -> jax.Array:
    """Standard normal numbers."""
    return jnp.asarray(np.random.default_rng(key).standard_normal(shape))


def spd_matrix(n: int) -> jax.Array:
    """A diagonally dominant symmetric positive definite matrix."""
    a = np.random.default_rng(5).uniform(-1, 1, (n, n))
    return jnp.asarray((a + a.T) / 2 + 2 * n * np.eye(n))


OPERATORS: dict[str, Callable[[], Operator]] = {
    "heat_1d_dirichlet": lambda: heat((1, 9), "dirichlet"),
    "heat_1d_periodic": lambda: heat((1, 8), "periodic"),
    "heat_2d_dirichlet": lambda: heat((1, 4, 5), "dirichlet"),
    "heat_2d_periodic_two_channels": lambda: heat((2, 4, 3), "periodic"),
    "heat_3d_dirichlet": lambda: heat((1, 3, 2, 4), "dirichlet"),
    "heat_3d_periodic": lambda: heat((1, 3, 4, 3), "periodic"),
    "poisson_negative_definite": lambda: laplacian((1, 7), 1, 0.125, "dirichlet"),
    "upwind_periodic": lambda: convection(9, random(1, 9)),
    "upwind_dirichlet": lambda: convection(9, random(1, 9), "dirichlet"),
    "dense_spd": lambda: Dense(spd_matrix(6), (2, 3), True),
    "dense_non_symmetric": lambda: Dense(spd_matrix(6) + jnp.triu(random(3, 6, 6)), (6,)),
    "dense_per_sample": lambda: Dense(spd_matrix(5) + jnp.abs(random(4, 3, 1, 1)) * jnp.eye(5), (5,), True),
    "coupled_periodic": lambda: coupled((3, 4), "periodic"),
    "coupled_dirichlet": lambda: coupled((5,), "dirichlet"),
    "function": lambda: FunctionOperator(spd_matrix(5), lambda p, u: p @ u + 0.1 * jnp.roll(u, 1), (5,)),
}
