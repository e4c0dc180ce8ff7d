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


@pytest.mark.slow
def test_fourier_uses_the_means_of_coefficients_of_each_sample(x64):
    a = coupled((3, 4), "periodic")
    fourier = prdp.Fourier()
    means = tuple(
        jnp.broadcast_to(jnp.mean(c, (-2, -1), keepdims=True), c.shape) if jnp.ndim(c) else c
        for c in a.coefficients
    )
    constant = type(a)(means, a.terms, a.shape, a.boundary, False, a.pins)
    v = random(1, 3, *a.shape)
    out = fourier.inverse(a).mv(v)
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


@pytest.mark.slow
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


MATRIX = np.random.default_rng(3).standard_normal((6, 6)) + 5 * np.eye(6)
INVERSE = jnp.asarray(np.linalg.inv(MATRIX) + 0.01 * np.triu(np.ones((6, 6)), 1))
RECIPES = {
    "diagonal": (prdp.Diagonal(), "heat_2d_dirichlet"),
    "fourier": (prdp.Fourier(), "upwind_periodic"),
    "fourier_coupled": (prdp.Fourier(), "coupled_periodic"),
    "ssor": (prdp.SSOR(1.3), "upwind_dirichlet"),
    "chebyshev": (prdp.Chebyshev(3), "dense_non_symmetric"),
    "operator": (prdp.Approximate(Dense(INVERSE, (6,))), "dense_non_symmetric"),
    "array": (prdp.Approximate(np.linspace(0.1, 0.2, 6)), "dense_non_symmetric"),
    "function": (prdp.Approximate(lambda a, v: v / a.diagonal() + 0.1 * jnp.roll(v, 1)), "upwind_dirichlet"),
    "function_of_operator": (prdp.Approximate(lambda a: 0.1 * a.transpose()), "upwind_dirichlet"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_approximate_inverse_is_linear_and_has_an_exact_transpose(recipe, x64):
    preconditioner, name = RECIPES[recipe]
    a = OPERATORS[name]()
    p = jax.jit(preconditioner.inverse)(a)
    u, v = random(0, 3, *a.shape), random(1, 3, *a.shape)
    axes = tuple(range(-a.rank, 0))
    np.testing.assert_allclose(
        jnp.sum(p.mv(u) * v, axes), jnp.sum(u * p.transpose().mv(v), axes), atol=1e-12, rtol=1e-12
    )
    np.testing.assert_allclose(p.mv(2 * u - v), 2 * p.mv(u) - p.mv(v), atol=1e-12)
    matrix = np.asarray(p.as_dense())
    np.testing.assert_allclose(
        np.diagonal(matrix, axis1=-2, axis2=-1).ravel(), np.ravel(p.diagonal()), atol=1e-14
    )


def test_ssor_is_the_textbooks(x64):
    # M = 1/(omega (2 - omega)) (D + omega L) D^-1 (D + omega U) in red-black order. The last colour is relaxed once,
    # which is the same for omega = 1.
    a = heat((1, 4, 5), "dirichlet", 0.4)
    matrix = np.asarray(a.as_dense())
    order = np.argsort(np.add.outer(np.arange(4), np.arange(5)).ravel() % 2, kind="stable")
    sorted_ = matrix[np.ix_(order, order)]
    d, lower = np.diag(np.diagonal(sorted_)), np.tril(sorted_, -1)
    expected = np.empty_like(matrix)
    expected[np.ix_(order, order)] = np.linalg.inv((d + lower) @ np.linalg.inv(d) @ (d + lower.T))
    np.testing.assert_allclose(prdp.SSOR().inverse(a).as_dense(), expected, atol=1e-13)


def test_chebyshev_leaves_the_polynomial_of_its_interval(x64):
    # The error's eigenvalues are T_k at the mapped eigenvalues of D^-1 A, over T_k beyond the interval.
    a, degree, ratio = heat((1, 9), "dirichlet", 0.4), 3, 10.0
    p = prdp.Chebyshev(degree, ratio).inverse(a)
    matrix = np.asarray(a.as_dense())
    upper = np.abs(matrix / np.diagonal(matrix)[:, None]).sum(1).max()
    lower = upper / ratio
    values = np.linalg.eigvalsh(matrix / matrix[0, 0])
    chebyshev = np.polynomial.Chebyshev.basis(degree)
    expected = chebyshev((upper + lower - 2 * values) / (upper - lower)) / chebyshev(
        (upper + lower) / (upper - lower)
    )
    found = np.linalg.eigvals(np.eye(9) - np.asarray(p.as_dense()) @ matrix).real
    np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=1e-12)


def test_pcg_iterates_are_those_of_the_textbook(x64):
    a, rhs = OPERATORS["dense_spd"](), random(0, 2, 2, 3)
    p = np.diag(np.linspace(0.5, 2, 6))
    solver = prdp.PCG(prdp.Approximate(np.linspace(0.5, 2, 6).reshape(2, 3)))
    matrix = np.asarray(a.as_dense())
    for i, b in enumerate(np.asarray(rhs).reshape(2, 6)):
        u, r = np.zeros(6), b
        z = d = p @ r
        for k in range(1, 4):
            alpha = (r @ z) / (d @ matrix @ d)
            u, old = u + alpha * d, r @ z
            r = r - alpha * matrix @ d
            z = p @ r
            d = z + (r @ z) / old * d
            found = prdp.solve(a, rhs, solver=solver, iterations=k, tolerance=0.0)
            np.testing.assert_allclose(found.value[i].ravel(), u, rtol=1e-12)
            # One more to measure the residual.
            assert int(found.matvecs[i]) == k + 1


@pytest.mark.slow
def test_products_of_the_preconditioner_are_counted(x64):
    a = heat((1, 9), "dirichlet", 0.4)
    options = {"iterations": 3, "tolerance": 0.0}
    for preconditioner, products in ((prdp.Diagonal(), 0), (prdp.SSOR(), 2), (prdp.Chebyshev(5), 4)):
        found = prdp.solve(a, random(0, 1, 9), solver=prdp.PCG(preconditioner), **options)
        assert int(found.matvecs) == 3 * (1 + products) + 1


def test_richardson_with_an_approximate_inverse_converges_at_the_rate_of_its_error(x64):
    a = Dense(jnp.asarray(MATRIX), (6,))
    solver = prdp.Preconditioned(prdp.Richardson(1.0), prdp.Approximate(Dense(INVERSE, (6,))))
    b, error = random(0, 6), np.eye(6) - MATRIX @ np.asarray(INVERSE)
    found = prdp.solve(a, b, solver=solver, iterations=3, tolerance=0.0)
    left = np.linalg.matrix_power(error, 3) @ np.asarray(b)
    np.testing.assert_allclose(np.asarray(b) - MATRIX @ np.asarray(found.value), left, atol=1e-13)


def test_the_adjoint_solve_has_the_transposed_inverse(x64):
    # P is exact: one iteration solves both systems, but only if the adjoint's is transposed.
    a = Dense(jnp.asarray(MATRIX), (6,))
    exact = prdp.Approximate(Dense(jnp.linalg.inv(a.matrix), (6,)))
    solver, b = prdp.Preconditioned(prdp.Richardson(1.0), exact), random(0, 6)

    def loss(b):
        return jnp.sum(prdp.solve(a, b, solver=solver, iterations=1).value ** 3)

    u = np.linalg.solve(MATRIX, b)
    np.testing.assert_allclose(jax.grad(loss)(b), np.linalg.solve(MATRIX.T, 3 * u**2), rtol=1e-10)


def test_a_preconditioner_of_ones_own_is_checked():
    with pytest.raises(TypeError, match="given as a str: allowed is a prdp"):
        prdp.Approximate("ilu")
    with pytest.raises(ValueError, match="has traced values"):
        jax.jit(lambda d: prdp.Approximate(d))(jnp.ones(3))
    a = OPERATORS["dense_spd"]()
    for matrix, shape, symmetric, text in (
        (jnp.eye(6), (6,), True, r"the preconditioner has shape \(6,\): allowed is \(2, 3\)"),
        (jnp.eye(6), (2, 3), False, "PCG needs a symmetric preconditioner, and this Approximate"),
    ):
        solver = prdp.PCG(prdp.Approximate(Dense(matrix, shape, symmetric)))
        with pytest.raises(ValueError, match=text):
            prdp.solve(a, jnp.ones((2, 3)), solver=solver, iterations=1)
    with pytest.raises(ValueError, match="the SSOR preconditioner needs a stencil, not a Dense"):
        prdp.solve(a, jnp.ones((2, 3)), solver=prdp.PCG(prdp.SSOR()), iterations=1)


def test_what_cannot_be_preconditioned_is_refused():
    with pytest.raises(ValueError, match="Jacobi cannot be preconditioned: allowed are GMRES, BiCGStab, and"):
        prdp.Preconditioned(prdp.Jacobi(), prdp.Diagonal())
    for a in (heat((1, 8), "dirichlet"), OPERATORS["dense_spd"]()):
        with pytest.raises(ValueError, match="periodic stencil"):
            prdp.solve(a, jnp.ones(a.shape), solver=FOURIER, iterations=1)
    with pytest.raises(ValueError, match="share one grid"):
        couple({(0, 0): laplacian((4,), 1, 0.1, "periodic"), (1, 1): laplacian((5,), 1, 0.1, "periodic")})
