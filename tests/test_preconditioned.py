"""Preconditioned Krylov solvers, and systems that are hard without."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import Status
from prdp.linalg import Dense, couple, laplacian
from prdp.physics import Burgers, NavierStokes
from tests.cases import OPERATORS, coupled, heat, random

FOURIER = prdp.Preconditioned(prdp.GMRES(2), prdp.Fourier())


@pytest.mark.parametrize(
    "operator",
    [
        lambda: heat((1, 8), "periodic"),
        lambda: heat((2, 4, 3), "periodic"),
        lambda: heat((1, 3, 4, 5), "periodic"),
        lambda: Burgers(2, 5).operator(jnp.full((2, 5, 5), 0.7)),
        lambda: NavierStokes(6).operator(jnp.full((3, 6, 6), -0.4)),
    ],
)
def test_fourier_inverts_constant_coefficients_exactly(operator, x64):
    a = operator()
    rhs = random(0, 3, *a.shape)
    solution = prdp.solve(a, rhs, solver=FOURIER, iterations=1, tolerance=1e-11)
    np.testing.assert_array_equal(solution.status, Status.CONVERGED)
    np.testing.assert_allclose(a.mv(solution.value), rhs, atol=1e-11)


def test_fourier_uses_the_means_of_coefficients_of_each_sample(x64):
    a = coupled((3, 4), "periodic")
    fourier = prdp.Fourier()
    means = tuple(
        jnp.broadcast_to(jnp.mean(c, (-2, -1), keepdims=True), c.shape) if jnp.ndim(c) else c
        for c in a.coefficients
    )
    constant = type(a)(means, a.terms, a.shape, a.boundary, False, a.pins)
    v = random(1, 3, *a.shape)
    out = fourier.apply(fourier.prepare(a), v)
    np.testing.assert_allclose(constant.mv(out), v, atol=1e-12)


def test_the_mean_of_a_singular_system_is_left_out(x64):
    a = laplacian((1, 8), 1, 0.125, "periodic")
    rhs = random(0, 1, 8)
    rhs = rhs - rhs.mean()
    solution = prdp.solve(a, rhs, solver=FOURIER, iterations=5, tolerance=1e-12)
    assert solution.status == Status.CONVERGED
    np.testing.assert_allclose(a.mv(solution.value), rhs, atol=1e-11)


def test_diagonal_scaling_solves_an_ill_conditioned_system(x64):
    # diag(i^6) with a weak coupling: the condition number is 6e7.
    n = 20
    scales = jnp.arange(1.0, n + 1) ** 6
    weak = 1e-3 * random(0, n, n)
    a = Dense(jnp.diag(scales) @ (jnp.eye(n) + weak), (n,))
    exact = random(1, n)
    rhs = a.mv(exact)
    diagonal = prdp.Preconditioned(prdp.GMRES(5), prdp.Diagonal())
    # In the residual's norm the small unknowns weigh next to nothing: it has to be tiny.
    with_it = prdp.solve(a, rhs, solver=diagonal, iterations=30, tolerance=1e-15)
    without = prdp.solve(a, rhs, solver=prdp.GMRES(5), iterations=30, tolerance=1e-15)
    assert float(jnp.abs(with_it.value - exact).max()) < 1e-8
    assert float(jnp.abs(without.value - exact).max()) > 1e-2


def test_lineaxs_stagnating_system_is_reported_and_solved_by_a_longer_restart(x64):
    # From lineax's tests of restarted GMRES: it stagnates for restarts below 4.
    matrix = jnp.array(
        [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    )
    rhs = jnp.array([1.0, 0.0, 0.0, 0.0])
    for restart in (1, 2, 3):
        solution = prdp.solve(Dense(matrix, (4,)), rhs, solver=prdp.GMRES(restart), iterations=50)
        assert solution.status == Status.STAGNATED
        assert solution.iterations == 1
    solution = prdp.solve(Dense(matrix, (4,)), rhs, solver=prdp.GMRES(4), iterations=50, tolerance=1e-13)
    assert solution.status == Status.CONVERGED


@pytest.mark.parametrize("inner", [prdp.GMRES(3), prdp.BiCGStab()])
@pytest.mark.parametrize("preconditioner", [prdp.Diagonal(), prdp.Fourier()])
def test_a_guess_is_improved_and_an_exact_one_kept(inner, preconditioner, x64):
    solver, a = prdp.Preconditioned(inner, preconditioner), OPERATORS["upwind_periodic"]()
    rhs = random(0, 2, 9)
    exact = prdp.solve(a, rhs, solver=prdp.Direct(), iterations=1).value
    kept = prdp.solve(a, rhs, solver=solver, iterations=3, tolerance=1e-12, guess=exact)
    np.testing.assert_array_equal(kept.iterations, 0)
    np.testing.assert_array_equal(kept.value, exact)
    improved = prdp.solve(a, rhs, solver=solver, iterations=60, tolerance=1e-12, guess=exact + 0.1)
    np.testing.assert_allclose(improved.value, exact, atol=1e-10)


def test_k_is_traced(x64):
    a, rhs = coupled((3, 4), "periodic"), random(0, 3, 2, 3, 4)
    traces = []

    @jax.jit
    def run(k):
        traces.append(1)
        return prdp.solve(a, rhs, solver=FOURIER, iterations=k, tolerance=0.0).residual_norm

    residuals = [run(k) for k in (1, 2, 4)]
    assert len(traces) == 1
    assert all((b < a).all() for a, b in itertools.pairwise(residuals))


def test_non_finite_input_is_reported():
    a = heat((1, 8), "periodic")
    rhs = jnp.ones((2, 1, 8)).at[0, 0, 3].set(jnp.nan)
    solution = prdp.solve(a, rhs, solver=FOURIER, iterations=5)
    np.testing.assert_array_equal(solution.status, [Status.NON_FINITE, Status.CONVERGED])
    assert np.isnan(solution.value[0]).all()
    assert np.isfinite(solution.value[1]).all()


def test_what_cannot_be_preconditioned_is_refused():
    with pytest.raises(ValueError, match="Jacobi cannot be preconditioned: allowed are GMRES and BiCGStab"):
        prdp.Preconditioned(prdp.Jacobi(), prdp.Diagonal())
    for a in (heat((1, 8), "dirichlet"), OPERATORS["dense_spd"]()):
        with pytest.raises(ValueError, match="periodic stencil"):
            prdp.solve(a, jnp.ones(a.shape), solver=FOURIER, iterations=1)
    with pytest.raises(ValueError, match="share one grid"):
        couple({(0, 0): laplacian((4,), 1, 0.1, "periodic"), (1, 1): laplacian((5,), 1, 0.1, "periodic")})
