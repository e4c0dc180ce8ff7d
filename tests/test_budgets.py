"""Budgets and tolerances of `prdp.solve`: until converged, absolute, and one per system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import Status
from tests.cases import heat, random


def test_without_k_it_iterates_until_converged():
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(0, 3, 1, 9)
    free = prdp.solve(a, rhs)
    assert np.asarray(free.status).max() == Status.CONVERGED
    enough = prdp.solve(a, rhs, iterations=int(free.iterations.max()))
    np.testing.assert_array_equal(free.value, enough.value)
    assert np.asarray(prdp.solve(a, rhs, iterations=int(free.iterations.max()) - 1).status).max() > 0


def test_without_k_there_is_a_cap():
    # A skew-symmetric perturbation that Richardson neither damps nor blows up.
    rotation = jnp.asarray([[1.0, 1.0], [-1.0, 1.0]])
    solution = prdp.solve(rotation, jnp.ones(2), solver=prdp.Jacobi())
    assert Status(int(solution.status)) is Status.BUDGET_SPENT
    assert int(solution.iterations) == 10_000
    with pytest.raises(ValueError, match="iterations=None: Unrolled always runs all K iterations"):
        prdp.solve(rotation, jnp.ones(2), differentiation=prdp.Unrolled())


@pytest.mark.parametrize("mode", [prdp.Implicit(), pytest.param(prdp.Unrolled(9), marks=pytest.mark.slow)])
def test_k_and_tolerance_per_system_are_those_of_each_alone(mode, x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(0, 3, 1, 9)
    levels, tolerances = jnp.asarray([2, 9, 9]), jnp.asarray([0.0, 0.0, 1e-2])

    @jax.jit
    def both(rhs, levels, tolerances):
        def total(rhs):
            options = {"differentiation": mode, "iterations": levels, "tolerance": tolerances}
            solution = prdp.solve(a, rhs, **options)
            return jnp.sum(solution.value**2), solution

        return jax.grad(total, has_aux=True)(rhs)

    gradient, solution = both(rhs, levels, tolerances)
    for i in range(3):
        alone, one = both(rhs[i : i + 1], levels[i : i + 1], tolerances[i : i + 1])
        np.testing.assert_allclose(gradient[i], alone[0], rtol=1e-12)
        np.testing.assert_allclose(solution.value[i], one.value[0], rtol=1e-12)
        assert int(solution.iterations[i]) == int(one.iterations[0])
    assert solution.iterations.tolist()[:2] == [2, 9]


def test_the_absolute_tolerance_ends_where_the_relative_one_is_not_reached():
    a, rhs = (
        heat((1, 9), "dirichlet", 0.3),
        random(0, 3, 1, 9) * jnp.asarray([1.0, 1e-3, 1e-6])[:, None, None],
    )
    solution = prdp.solve(a, rhs, tolerance=0.0, atol=1e-4, iterations=500)
    residual = np.linalg.norm(np.asarray(rhs - a.mv(solution.value)).reshape(3, -1), axis=1)
    assert (residual < 1e-4).all()
    assert (np.asarray(solution.status) == Status.CONVERGED).all()
    assert int(solution.iterations[0]) > int(solution.iterations[1]) > int(solution.iterations[2]) == 0
    loosest = prdp.solve(a, rhs, tolerance=1e-2, atol=1e-30, iterations=500)
    np.testing.assert_array_equal(
        loosest.iterations, prdp.solve(a, rhs, tolerance=1e-2, iterations=500).iterations
    )


@pytest.mark.slow
def test_the_adjoint_does_not_see_the_absolute_tolerance(x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9)
    weak = jax.grad(lambda b: 1e-9 * jnp.sum(prdp.solve(a, b, tolerance=1e-8, atol=1e-3).value))(rhs)
    full = jax.grad(lambda b: jnp.sum(prdp.solve(a, b, tolerance=1e-8).value))(rhs)
    np.testing.assert_allclose(weak, 1e-9 * full, rtol=1e-12)


@pytest.mark.parametrize(
    ("told", "options"),
    [
        ("iterations=<array of shape .2,.>", {"iterations": np.array([3, 4])}),
        ("iterations=<array of shape .3,.>", {"iterations": np.array([3, 4, 0])}),
        ("tolerance=<array of shape .2,.>", {"tolerance": np.array([1e-3, 1e-4])}),
        ("atol=-1.0", {"atol": -1.0}),
        ("atol=nan", {"atol": float("nan")}),
    ],
)
def test_other_budgets_are_refused(told, options):
    with pytest.raises(ValueError, match=told):
        prdp.solve(heat((1, 9), "dirichlet"), jnp.ones((3, 1, 9)), **{"iterations": 3} | options)
