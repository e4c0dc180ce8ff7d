"""Periodic Laplacians: the solution of minimum norm and its gradient, against the pseudo-inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import Status
from tests.cases import random, some_fast

LAPLACIANS = {
    "1d": lambda c: c * prdp.laplacian((6,), 1, 0.5, "periodic"),
    "2d_two_channels": lambda c: c * prdp.laplacian((2, 3, 4), 2, 0.5, "periodic"),
    "dense": lambda c: prdp.Dense(c * prdp.laplacian((6,), 1, 0.5, "periodic").as_dense(), (6,), True),
    # Row and column sums are zero, but it is not symmetric.
    "convection": lambda c: (
        c * prdp.backward_difference((7,), 1, 0.5, "periodic") - prdp.laplacian((7,), 1, 0.5, "periodic")
    ),
}
SOLVERS = {
    "conjugate_gradient": prdp.ConjugateGradient(),
    "damped_jacobi": prdp.Jacobi(relaxation=0.8),
    "gmres": prdp.GMRES(4),
    "bicgstab": prdp.BiCGStab(),
    "direct": prdp.Direct(),
    "direct_dense": prdp.Direct("dense"),
}
FAST = [("1d", "conjugate_gradient"), ("2d_two_channels", "direct")]


@pytest.mark.parametrize(
    ("operator", "solver"),
    some_fast(
        [(o, s) for o in LAPLACIANS for s in SOLVERS if (o, s) != ("convection", "conjugate_gradient")], FAST
    ),
)
def test_value_and_gradient_are_those_of_the_pseudo_inverse(operator, solver, x64):
    operator_of = LAPLACIANS[operator]
    rhs = random(3, 2, *operator_of(1.0).shape)  # its mean is not zero: least squares
    weights = random(4, *rhs.shape)

    @jax.jit
    def ours(c, rhs):
        def total(c, rhs):
            options = {"solver": SOLVERS[solver], "tolerance": 1e-13, "null_space": "constant"}
            solution = prdp.solve(operator_of(c), rhs, **options)
            return jnp.sum(weights * solution.value), solution

        return jax.value_and_grad(total, (0, 1), has_aux=True)(c, rhs)

    (_, solution), (c_bar, rhs_bar) = ours(1.2, rhs)
    inverse = np.linalg.pinv(np.asarray(operator_of(1.2).as_dense()), rcond=1e-10)
    slope = np.asarray(operator_of(1.2).as_dense() - operator_of(0.2).as_dense())
    u = inverse @ np.asarray(rhs).reshape(2, -1).T
    multiplier = inverse.T @ np.asarray(weights).reshape(2, -1).T
    np.testing.assert_allclose(solution.value.reshape(2, -1).T, u, atol=1e-10)
    np.testing.assert_allclose(rhs_bar.reshape(2, -1).T, multiplier, atol=1e-10)
    np.testing.assert_allclose(c_bar, -np.sum(multiplier * (slope @ u)), rtol=1e-9)
    assert np.asarray(solution.status).max() == Status.CONVERGED
    assert np.asarray(solution.residual_norm).max() < 1e-12


def test_where_constants_are_not_the_null_space_the_solve_says_so():
    a = prdp.laplacian((9,), 1, 0.1, "dirichlet")
    solution = prdp.solve(a, random(0, 9), solver=prdp.ConjugateGradient(), null_space="constant")
    assert Status(int(solution.status)) is Status.STAGNATED
    assert float(solution.residual_norm) > 1e-2


def test_other_null_spaces_are_refused():
    a = prdp.laplacian((9,), 1, 0.1, "periodic")
    with pytest.raises(ValueError, match="null_space='linear': allowed are constant, None"):
        prdp.solve(a, jnp.ones(9), null_space="linear")
    coupled = prdp.couple({(0, 0): a, (1, 1): a})
    with pytest.raises(ValueError, match="not known for a CoupledStencil"):
        prdp.solve(coupled, jnp.ones((2, 9)), null_space="constant")
