"""Gradient descent, heavy ball and L-BFGS: their rates, their coefficients, and what their gradients are."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import Status
from prdp.linalg import Dense, laplacian
from prdp.physics import Heat
from tests.cases import heat, random, spd_matrix

KAPPA = 50.0


def with_spectrum(eigenvalues, sign=1.0):
    basis, _ = np.linalg.qr(np.asarray(random(3, len(eigenvalues), len(eigenvalues))))
    return Dense(jnp.asarray(sign * basis @ np.diag(eigenvalues) @ basis.T), (len(eigenvalues),), True)


@partial(jax.jit, static_argnums=(0, 3))
def iterates(solver, operator, rhs, iterations):
    def step(state, _):
        state = solver.step(operator, rhs, state)
        return state, state.value

    return jax.lax.scan(step, solver.init(operator, rhs, None), length=iterations)[1]


RATES = {
    prdp.GradientDescent: (KAPPA - 1) / (KAPPA + 1),
    prdp.HeavyBall: (np.sqrt(KAPPA) - 1) / (np.sqrt(KAPPA) + 1),
}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("kind", RATES)
def test_errors_contract_at_the_optimal_rate(kind, sign, x64):
    a, b = with_spectrum(np.linspace(0.2, 0.2 * KAPPA, 12), sign), random(0, 12)
    values = iterates(kind(0.2, 0.2 * KAPPA), a, b, 100)
    errors = np.linalg.norm(np.asarray(values) - np.linalg.solve(a.matrix, b), axis=1)
    ks = np.arange(1, 101)
    if kind is prdp.HeavyBall:
        # At the ends of the spectrum its two roots are one: k rho^k.
        errors = errors / ks
    rate = np.exp(np.polyfit(ks[30:], np.log(errors[30:]), 1)[0])
    assert np.log(rate) == pytest.approx(np.log(RATES[kind]), rel=0.02)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kind", RATES)
def test_bounds_of_the_heat_equation_are_gershgorins(kind, dimensions, x64):
    a = Heat(dimensions, points=12, diffusivity=0.02).operator()
    for operator in (a, Dense(a.as_dense(), a.shape, True), -1.0 * a):
        smallest, largest = kind().bounds(operator)
        np.testing.assert_allclose(
            [smallest, largest], [1.0, 1 + 8 * dimensions * 0.02 / 2 * 13**2], rtol=1e-12
        )
    eigenvalues = np.linalg.eigvalsh(a.as_dense())
    assert 1.0 <= eigenvalues.min() <= eigenvalues.max() <= largest


@pytest.mark.fast("solver1")
@pytest.mark.parametrize("solver", [prdp.GradientDescent(), prdp.HeavyBall()])
def test_unrolled_gradients_of_the_rhs_are_the_same_method_on_the_transpose(solver, x64):
    a, b, cotangent = heat((1, 9), "dirichlet", 0.3), random(2, 3, 1, 9), random(3, 3, 1, 9)

    @jax.jit
    def pulled_and_expected(b, cotangent, iterations):
        options = {"solver": solver, "iterations": iterations, "tolerance": 0.0}
        pulled = [
            jax.vjp(lambda b, mode=mode: prdp.solve(a, b, differentiation=mode, **options).value, b)[1](
                cotangent
            )
            for mode in (prdp.Unrolled(9), prdp.Implicit())
        ]
        return pulled, prdp.solve(a.transpose(), cotangent, **options).value

    for iterations in map(jnp.int32, (1, 4, 9)):
        pulled, expected = pulled_and_expected(b, cotangent, iterations)
        for (gradient,) in pulled:
            np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "sign"), list(itertools.product([1, 3, 12], [1.0, -1.0])))
def test_lbfgs_iterates_are_those_of_conjugate_gradient(memory, sign, x64):
    a, b = with_spectrum(np.geomspace(1, 30, 8), sign), random(0, 2, 8)
    for k in range(1, 8):
        lbfgs, cg = (
            prdp.solve(a, b, solver=solver, iterations=k, tolerance=0.0).value
            for solver in (prdp.LBFGS(memory), prdp.ConjugateGradient())
        )
        np.testing.assert_allclose(lbfgs, cg, rtol=0, atol=1e-11 * np.abs(cg).max())


def test_lbfgs_is_exact_after_as_many_iterations_as_unknowns(x64):
    a, b = with_spectrum(np.geomspace(1, 1000, 8)), random(0, 8)
    residuals = [
        float(prdp.solve(a, b, solver=prdp.LBFGS(8), iterations=k, tolerance=0.0).residual_norm)
        for k in (7, 8)
    ]
    assert residuals[1] < 1e-11 < 1e-4 < residuals[0]


@pytest.mark.slow
def test_memory_restores_the_conjugacy_that_rounding_takes():
    a = with_spectrum(np.geomspace(1, 1e4, 60))
    a, b = Dense(a.matrix.astype(jnp.float32), (60,), True), jnp.asarray(random(1, 60), jnp.float32)
    used = [
        int(prdp.solve(a, b, solver=prdp.LBFGS(memory), iterations=1000, tolerance=1e-4).iterations)
        for memory in (1, 60)
    ]
    # In exact arithmetic both would be done after 60.
    assert used[1] <= 66
    assert used[0] > 1.5 * used[1]


def test_two_loops_apply_the_textbook_matrix(x64):
    """`H <- (I - s y^T/s.y) H (I - y s^T/s.y) + s s^T/s.y` over the pairs that are kept."""
    a, b = with_spectrum(np.geomspace(1, 30, 6)), random(0, 6)
    solver, matrix, eye = prdp.LBFGS(2), np.asarray(a.matrix), np.eye(6)
    # From a guess whose directions are not conjugate, so that nothing of H drops out.
    state = solver.init(a, b, None)
    pairs = []
    for s in np.asarray(random(5, 2, 6)):
        pairs.append((s, matrix @ s))
    filled = tuple(type(state.pairs[0])(*map(jnp.asarray, (s, y, s @ y))) for s, y in pairs)
    new = jax.jit(solver.step)(a, b, state._replace(pairs=filled))
    s, y = pairs[-1]
    h = (s @ y) / (y @ y) * eye
    for s, y in pairs:
        left = eye - np.outer(s, y) / (s @ y)
        h = left @ h @ left.T + np.outer(s, s) / (s @ y)
    direction = h @ np.asarray(b)
    step = (direction @ b) / (direction @ matrix @ direction) * direction
    np.testing.assert_allclose(new.value, step, rtol=1e-12)


@pytest.mark.slow
def test_lbfgs_reports_curvature_of_the_wrong_sign_and_stays_finite():
    b = jnp.ones(2)

    @jax.jit
    @jax.grad
    def gradient(b, a):
        options = {"solver": prdp.LBFGS(), "differentiation": prdp.Unrolled(), "iterations": 9}
        return prdp.solve(a, b, **options).value.sum()

    for diagonal in ([1.0, -1.0], [-3.0, 1.0], [3.0, -1.5]):
        matrix = np.diag(np.float32(diagonal))
        a = Dense(jnp.asarray(matrix), (2,), True)
        solution = prdp.solve(a, b, solver=prdp.LBFGS(), iterations=9)
        assert Status(int(solution.status)) is Status.BREAKDOWN
        assert np.isfinite(solution.value).all()
        # The iterate before that direction: what it reports is its residual.
        residual = np.linalg.norm(1 - matrix @ np.asarray(solution.value)) / 2**0.5
        np.testing.assert_allclose(solution.residual_norm, residual, rtol=1e-6)
        assert np.isfinite(gradient(b, a)).all()


@pytest.mark.slow
def test_unrolled_lbfgs_keeps_its_gradient_far_beyond_convergence_in_float32():
    a = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), heat((1, 9), "dirichlet"))
    b = jnp.asarray(random(2, 3, 1, 9), jnp.float32)

    def total(a, b, mode):
        solution = prdp.solve(a, b, solver=prdp.LBFGS(), differentiation=mode, iterations=100, tolerance=0.0)
        return jnp.sum(jnp.sin(1.3 * solution.value))

    gradient = jax.jit(jax.grad(total, (0, 1)), static_argnums=2)
    ours, exact = (gradient(a, b, mode) for mode in (prdp.Unrolled(), prdp.Implicit()))
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(x, y, atol=3e-6 * np.abs(y).max())


@pytest.mark.parametrize("kind", RATES)
def test_without_a_positive_bound_the_key_is_named_or_the_system_singular(kind):
    a = laplacian((1, 30), 1, 1 / 31, "dirichlet")
    with pytest.raises(
        ValueError, match=r"smallest_eigenvalue=null: Gershgorin's bound of this Stencil is 0"
    ) as told:
        prdp.solve(a, jnp.ones((1, 30)), solver=kind(), iterations=3)
    assert "\n" not in str(told.value)
    solution = jax.jit(lambda a: prdp.solve(a, jnp.ones((1, 30)), solver=kind(), iterations=3))(a)
    assert Status(int(solution.status)) is Status.SINGULAR
    assert (
        int(prdp.solve(a, jnp.ones((1, 30)), solver=kind(9.8), iterations=3000, tolerance=1e-4).status)
        == Status.CONVERGED
    )
    with pytest.raises(ValueError, match=r"largest_eigenvalue=null: .* below smallest_eigenvalue=5e\+03"):
        prdp.solve(a, jnp.ones((1, 30)), solver=kind(5000.0), iterations=3)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: prdp.GradientDescent(smallest_eigenvalue=0.0),
            "smallest_eigenvalue=0.0: allowed is a number > 0",
        ),
        (lambda: prdp.HeavyBall(largest_eigenvalue=-1.0), "largest_eigenvalue=-1.0"),
        (
            lambda: prdp.HeavyBall(3.0, 2.0),
            "smallest_eigenvalue=3.0: allowed is at most largest_eigenvalue=2.0",
        ),
        (lambda: prdp.LBFGS(0), "memory=0"),
    ],
)
def test_bad_parameters_are_named(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_gradient_descent_with_equal_bounds_is_done_at_once(x64):
    a = Dense(4 * jnp.eye(5), (5,), True)
    for solver in (prdp.GradientDescent(), prdp.HeavyBall()):
        np.testing.assert_allclose(
            prdp.solve(a, random(0, 5), solver=solver, iterations=1).value, random(0, 5) / 4
        )


def test_jfb_takes_the_splitting_of_gradient_descent(x64):
    a, b, cotangent = Dense(spd_matrix(6), (6,), True), random(0, 6), random(1, 6)

    @jax.jit
    def pulled(b, cotangent):
        options = {"solver": prdp.GradientDescent(), "differentiation": prdp.JFB(), "iterations": 5}
        return jax.vjp(lambda b: prdp.solve(a, b, **options).value, b)[1](cotangent)[0]

    smallest, largest = prdp.GradientDescent().bounds(a)
    np.testing.assert_allclose(pulled(b, cotangent), 2 / (smallest + largest) * cotangent, rtol=1e-12)
