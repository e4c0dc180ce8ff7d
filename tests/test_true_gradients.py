"""No gradient is silently zero, and no failed system reaches those that it was left out for."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import AdjointStats, Status
from tests.cases import random, some_fast

MODES = {
    "implicit": prdp.Implicit(),
    "unrolled": prdp.Unrolled(8),
    "checkpointed": prdp.Checkpointed(8),
    "truncated": prdp.Truncated(3),
    "one_step": prdp.OneStep(),
    "jfb": prdp.JFB(),
    "phantom": prdp.Phantom(),
    "phantom_unrolled": prdp.Phantom(form="unrolled"),
    "neumann": prdp.Neumann(),
    "reduced_cg": prdp.ReducedCG(),
}
REVERSED = ("unrolled", "checkpointed", "truncated", "one_step")


def heat(points=9, strength=0.03):
    eye = prdp.identity((points,), 1, "dirichlet")
    return eye - strength * prdp.laplacian((points,), 1, 0.3, "dirichlet")


def gradient(mode, rhs, solver=prdp.Jacobi(), guess=None, iterations=8, tolerance=1e-5):
    """The gradient of the sum of the solution with respect to the right-hand side, and the adjoint's stats."""
    return _gradient(mode, solver, rhs, guess, jnp.int32(iterations), tolerance)


@partial(jax.jit, static_argnums=(0, 1))
def _gradient(mode, solver, rhs, guess, iterations, tolerance):
    def total(rhs, stats):
        options = {"iterations": iterations, "tolerance": tolerance, "guess": guess, "adjoint_stats": stats}
        return jnp.sum(prdp.solve(heat(), rhs, solver=solver, differentiation=MODES[mode], **options).value)

    return jax.grad(total, (0, 1))(rhs, AdjointStats.zero())


@pytest.mark.parametrize("mode", MODES)
def test_at_a_zero_right_hand_side_the_gradient_is_that_of_others(mode, x64):
    # u is linear in b, so that its gradient is the same everywhere; 8 steps are not converged.
    elsewhere, _ = gradient(mode, jnp.ones((2, 9)), tolerance=0.0)
    for tolerance in (0.0, 1e-5):
        at_zero, _ = gradient(mode, jnp.zeros((2, 9)), tolerance=tolerance)
        assert np.abs(at_zero).min() > 0.1
        if mode not in ("implicit",) or tolerance == 0.0:
            np.testing.assert_allclose(at_zero, elsewhere, rtol=1e-12)


@pytest.mark.parametrize("mode", REVERSED)
def test_from_a_good_guess_the_gradient_is_that_of_all_steps(mode, x64):
    rhs = random(0, 2, 9)
    exact = prdp.solve(heat(), rhs, solver=prdp.Direct(), iterations=1).value
    ours, _ = gradient(mode, rhs, guess=exact)
    expected, _ = gradient(mode, rhs, guess=jnp.zeros_like(exact), tolerance=0.0)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.fast("solver0-unrolled")
@pytest.mark.parametrize(
    ("solver", "mode"),
    some_fast(
        itertools.product(
            [prdp.ConjugateGradient(), prdp.GMRES(2), prdp.BiCGStab(), prdp.SteepestDescent()],
            ["unrolled", "truncated"],
        ),
        [
            (prdp.ConjugateGradient(), "unrolled"),
            (prdp.GMRES(2), "truncated"),
        ],
    ),
)
def test_where_a_krylov_method_has_no_derivative_the_gradient_is_nan_and_says_so(mode, solver):
    rhs = jnp.stack([jnp.zeros(9), jnp.ones(9)])
    ours, stats = gradient(mode, rhs, solver, iterations=3, tolerance=0.0)
    assert np.isnan(ours[0]).all()
    assert np.isfinite(ours[1]).all()
    assert Status(int(stats.status)) is Status.NOT_DIFFERENTIABLE
    implicit, stats = gradient("implicit", rhs, solver, iterations=90)
    assert np.abs(implicit).min() > 0.1
    assert Status(int(stats.status)) is Status.CONVERGED


@pytest.mark.slow
def test_the_readmes_loop_learns_with_unrolled_gradients_from_zero():
    a = heat(16)
    load = jnp.sin(jnp.pi * jnp.arange(1, 17) / 17)
    target = prdp.solve(a, load, solver=prdp.Direct(), iterations=1).value

    @jax.jit
    def update(theta, iterations):
        def loss(theta):
            mode = prdp.Unrolled(iterations_cap=50)
            return jnp.mean(
                (prdp.solve(a, theta, differentiation=mode, iterations=iterations).value - target) ** 2
            )

        return theta - 5.0 * jax.grad(loss)(theta)

    theta = jnp.zeros(16)
    for _ in range(60):
        theta = update(theta, 20)
    assert float(jnp.linalg.norm(theta - load) / jnp.linalg.norm(load)) < 1e-2


FAILURES = {
    "nan_in_the_rhs": lambda rhs, field: (rhs.at[1, 3].set(jnp.nan), field),
    "nan_in_the_operator": lambda rhs, field: (rhs, field.at[1, 3].set(jnp.nan)),
    "zero_on_the_diagonal": lambda rhs, field: (rhs, field.at[1].set(-1.0)),
}


@pytest.mark.fast("solver0")
@pytest.mark.parametrize(
    ("solver", "mode"),
    some_fast(
        itertools.product([prdp.Jacobi(), prdp.GMRES(3), prdp.Direct("dense")], MODES),
        [
            *((prdp.Jacobi(), mode) for mode in MODES),
            (prdp.GMRES(3), "implicit"),
            *((prdp.Direct("dense"), mode) for mode in ("implicit", "unrolled")),
        ],
    ),
)
def test_a_failed_system_that_is_left_out_does_not_poison_shared_parameters(solver, mode, x64):
    shape = {"shape": (9,), "symmetric": True}
    try:
        MODES[mode].check(solver, prdp.Dense(jnp.eye(9), **shape))
    except ValueError:
        pytest.skip("refused")

    @jax.jit
    @jax.grad
    def gradient(shared, rhs, field, keep):
        # (1 + field) + shared (coupling): the field has a batch axis, what is shared has none.
        offsets = ((0,), (0,), (1,), (-1,))
        a = prdp.Stencil(
            (1.0 + field, shared * 0 + 1e-30, -shared, -shared), offsets, boundary="dirichlet", **shape
        )
        if isinstance(solver, prdp.Direct):
            matrix = jnp.eye(9) * (1.0 + field)[..., None] - shared * (jnp.eye(9, k=1) + jnp.eye(9, k=-1))
            a = prdp.Dense(matrix, **shape)
        solution = prdp.solve(a, rhs, solver=solver, differentiation=MODES[mode], iterations=8)
        return jnp.sum(jnp.where(keep[:, None], solution.value, 0.0) ** 2)

    rhs, field = random(0, 3, 9), 1.5 + jnp.zeros((3, 9))
    keep = jnp.asarray([True, False, True])
    sound = gradient(0.2, rhs, field, keep)
    assert abs(sound) > 0.1
    for failure in FAILURES.values():
        np.testing.assert_allclose(gradient(0.2, *failure(rhs, field), keep), sound, rtol=1e-9)


@pytest.mark.slow
def test_a_failed_system_that_is_not_left_out_makes_the_gradient_nan():
    rhs = jnp.ones((2, 9)).at[1, 3].set(jnp.nan)
    for mode in ("implicit", "unrolled", "jfb"):
        ours, _ = gradient(mode, rhs)
        assert np.isfinite(ours[0]).all()
        assert np.isnan(ours[1]).all()


def test_a_failed_adjoint_is_visible():
    # The primal is solved, its transpose is not within one iteration; a singular one stagnates.
    rhs = jnp.ones((2, 9))

    def stats(solver, **options):
        def total(rhs, stats):
            mode = prdp.Implicit(**options)
            arguments = {"iterations": 300, "adjoint_stats": stats, "differentiation": mode, "solver": solver}
            return jnp.sum(prdp.solve(heat(), rhs, **arguments).value ** 3)

        return jax.jit(jax.grad(total, 1))(rhs, AdjointStats.zero())

    few = stats(prdp.Jacobi(), adjoint_iterations=1)
    assert Status(int(few.status)) is Status.BUDGET_SPENT
    assert float(few.residual_max) > 1e-2
    assert float(few.residual_mean) <= float(few.residual_max)
    enough = stats(prdp.Jacobi())
    assert Status(int(enough.status)) is Status.CONVERGED
    assert float(enough.residual_max) < 1e-5
    limited = stats(prdp.GMRES(4), adjoint_tolerance=1e-12)
    assert Status(int(limited.status)) is Status.PRECISION_LIMIT


def test_each_solve_has_stats_of_its_own():
    def total(rhs, stats):
        first = prdp.solve(heat(), rhs, iterations=50, adjoint_stats=stats.of_solve(0)).value
        return jnp.sum(prdp.solve(heat(), first, iterations=2, adjoint_stats=stats.of_solve(1)).value ** 2)

    stats = jax.jit(jax.grad(total, 1))(jnp.ones(9), AdjointStats.zeros(2))
    assert [Status(int(s)) for s in stats.status] == [Status.CONVERGED, Status.BUDGET_SPENT]
    assert float(stats.residual_max[0]) < 1e-5 < float(stats.residual_max[1])
