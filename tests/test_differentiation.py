"""Every mode against finite differences in float64, the dense adjoint, and a plain Python loop."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import AdjointStats, Status
from prdp.linalg import Dense, Stencil, identity, laplacian
from tests.cases import MODES, SOLVERS, convection, heat, random, some_fast, spd_matrix

modes = pytest.mark.parametrize("mode", MODES)


def upwind(winds):
    return convection(9, winds)


def diffusion(strength):
    return heat((1, 9), "dirichlet", strength)


def problem(solver):
    """An operator that suits a solver, its parameters, and right-hand sides of three samples."""
    if SOLVERS[solver].non_symmetric:
        return upwind, random(1, 9), random(2, 3, 9)
    return diffusion, jnp.asarray(0.05), random(2, 3, 1, 9)


# XLA's older emitters, which the tests use, compute a sum that two fusions share twice, and may round it differently.
# Far beyond convergence an unrolled conjugate gradient notices: its derivatives are then right to 6 digits only.
ROUNDED_ONCE = {"xla_cpu_use_fusion_emitters": True}


def _value_and_gradient(solver, mode, parameters, rhs, iterations, tolerance):
    """A nonlinear function of the solution and its gradient: one program for every K and every tolerance."""

    def value(parameters, rhs):
        solution = prdp.solve(
            problem(solver)[0](parameters),
            rhs,
            solver=SOLVERS[solver].solver,
            differentiation=MODES[mode],
            iterations=iterations,
            tolerance=tolerance,
        )
        return jnp.sum(jnp.sin(1.3 * solution.value))

    return jax.value_and_grad(value, (0, 1))(parameters, rhs)


value_and_gradient = jax.jit(_value_and_gradient, static_argnums=(0, 1))
rounded_once_value_and_gradient = jax.jit(
    _value_and_gradient, static_argnums=(0, 1), compiler_options=ROUNDED_ONCE
)


@partial(jax.jit, static_argnums=0)
def dense_gradient(operator_of, parameters, rhs):
    def value(parameters, rhs):
        matrix = operator_of(parameters).as_dense()
        return jnp.sum(jnp.sin(1.3 * jnp.linalg.solve(matrix, rhs.reshape(3, -1).T)))

    return jax.grad(value, (0, 1))(parameters, rhs)


def assert_converged_is_dense(solver, mode):
    operator_of, *arguments = problem(solver)
    iterations = jnp.int32(SOLVERS[solver].iterations)
    far_beyond = (solver, mode) == ("conjugate_gradient", "unrolled")
    function = rounded_once_value_and_gradient if far_beyond else value_and_gradient
    _, ours = function(solver, mode, *arguments, iterations, 1e-13)
    for a, b in zip(ours, dense_gradient(operator_of, *arguments), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9 * np.abs(b).max())


@pytest.mark.parametrize(
    "solver",
    some_fast(
        SOLVERS,
        [
            *("jacobi", "richardson", "conjugate_gradient", "heavy_ball"),
            *("gmres_3_diagonal", "direct", "direct_dense"),
        ],
    ),
)
def test_the_implicit_gradient_equals_the_dense_adjoint(solver, x64):
    assert_converged_is_dense(solver, "implicit")


@pytest.mark.fast("conjugate_gradient", "bicgstab", "heavy_ball")
@pytest.mark.parametrize(
    "solver",
    some_fast(
        SOLVERS,
        [
            *(
                "jacobi",
                "steepest_descent_recomputed",
                "conjugate_gradient",
                "gradient_descent",
                "heavy_ball",
            ),
            *("lbfgs", "bicgstab", "direct"),
        ],
    ),
)
def test_the_unrolled_gradient_equals_differences_at_any_k_and_the_dense_adjoint_at_the_end(solver, x64):
    _, *arguments = problem(solver)
    direction = [np.asarray(random(9, *x.shape)) for x in arguments]
    step = 2e-4
    for iterations in map(jnp.int32, (1, 2, 5)):
        _, gradient = value_and_gradient(solver, "unrolled", *arguments, iterations, 0.0)
        exact = sum(np.sum(g * d) for g, d in zip(gradient, direction, strict=True))
        ahead, behind, far_ahead, far_behind = (
            value_and_gradient(
                solver,
                "unrolled",
                *(x + t * step * d for x, d in zip(arguments, direction, strict=True)),
                iterations,
                0.0,
            )[0]
            for t in (1, -1, 2, -2)
        )
        # Fourth-order central difference: its error is below 1e-10 here.
        difference = (8 * (ahead - behind) - far_ahead + far_behind) / (12 * step)
        np.testing.assert_allclose(exact, difference, rtol=1e-9)
    assert_converged_is_dense(solver, "unrolled")


def python_loop(solver, operator, rhs, iterations):
    operator = solver.prepare(operator)
    state = solver.init(operator, rhs, None)
    for _ in range(iterations):
        state = solver.step(operator, rhs, state)
    return solver.solution(operator, state)


@pytest.mark.parametrize("solver", some_fast(SOLVERS, ["jacobi", "conjugate_gradient", "heavy_ball"]))
def test_the_unrolled_gradient_equals_that_of_a_python_loop(solver, x64):
    operator_of, *arguments = problem(solver)

    def plain(parameters, rhs):
        value = python_loop(SOLVERS[solver].solver, operator_of(parameters), rhs, 4)
        return jnp.sum(jnp.sin(1.3 * value))

    _, ours = value_and_gradient(solver, "unrolled", *arguments, jnp.int32(4), 0.0)
    for a, b in zip(ours, jax.jit(jax.grad(plain, (0, 1)))(*arguments), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize(
    "solver", some_fast(["jacobi", "damped_jacobi", "richardson"], ["jacobi", "richardson"])
)
def test_modes_agree_for_stationary_solvers_with_parameters_in_the_rhs(solver, x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(2, 3, 1, 9)

    @jax.jit
    def gradients(rhs, iterations):
        def total(rhs, mode):
            options = {"solver": SOLVERS[solver].solver, "differentiation": mode, "tolerance": 0.0}
            return jnp.sum(jnp.sin(1.3 * prdp.solve(a, rhs, iterations=iterations, **options).value))

        return [jax.grad(total)(rhs, mode) for mode in MODES.values()]

    for iterations in map(jnp.int32, (1, 3, 8)):
        first, second = gradients(rhs, iterations)
        np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("mode", "solver"),
    some_fast(
        itertools.product(MODES, ["jacobi", "steepest_descent", "conjugate_gradient", "gmres_2", "bicgstab"]),
        [
            *(("implicit", solver) for solver in ("jacobi", "conjugate_gradient")),
            ("unrolled", "steepest_descent"),
        ],
    ),
)
def test_the_vjp_is_linear_in_the_cotangent_in_float32(mode, solver):
    a = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), heat((1, 9), "dirichlet", 0.3))
    rhs, cotangent = (np.asarray(random(key, 3, 1, 9), np.float32) for key in (2, 3))

    @jax.jit
    def pull_back(operator, rhs, cotangent):
        def value(operator, rhs):
            options = {"solver": SOLVERS[solver].solver, "differentiation": MODES[mode], "iterations": 7}
            return prdp.solve(operator, rhs, **options).value

        return jax.tree.leaves(jax.vjp(value, operator, rhs)[1](cotangent))

    plain = pull_back(a, rhs, cotangent)
    for size in np.float32([1e-8, 1e-4, 3.7, 1e4]):
        for scaled, one in zip(pull_back(a, rhs, size * cotangent), plain, strict=True):
            np.testing.assert_allclose(scaled, size * one, rtol=2e-4, atol=3e-6 * float(size))
    if mode == "implicit":
        # A power of two scales every bit.
        power = np.float32(2.0**-30)
        for scaled, one in zip(pull_back(a, rhs, power * cotangent), plain, strict=True):
            np.testing.assert_array_equal(scaled, power * one)


@pytest.mark.slow
def test_a_tiny_loss_keeps_its_gradient():
    # The primal tolerance times ||b|| would be larger than the whole cotangent here.
    a, rhs = heat((1, 9), "dirichlet"), jnp.asarray(100 * random(2, 1, 9), jnp.float32)
    gradient = jax.jit(
        jax.grad(lambda b: 1e-7 * jnp.sum(prdp.solve(a, b, solver=prdp.GMRES(2), iterations=50).value ** 2))
    )(rhs)
    exact = 2e-7 * np.linalg.solve(a.as_dense().T, np.linalg.solve(a.as_dense(), rhs.ravel()))
    np.testing.assert_allclose(gradient.ravel(), exact, rtol=1e-4)


def test_the_implicit_adjoint_uses_the_transpose(x64):
    # A VJP that is right for symmetric matrices only is wrong by O(1) here.
    matrix = spd_matrix(6) + 8 * jnp.triu(random(3, 6, 6), 1)
    b, cotangent = random(0, 6), random(1, 6)

    def value(m, b):
        return prdp.solve(Dense(m, (6,)), b, solver=prdp.GMRES(6), iterations=30, tolerance=1e-14).value

    matrix_bar, b_bar = jax.jit(lambda m, b, c: jax.vjp(value, m, b)[1](c))(matrix, b, cotangent)
    multiplier = np.linalg.solve(matrix.T, cotangent)
    np.testing.assert_allclose(b_bar, multiplier, rtol=1e-11)
    np.testing.assert_allclose(
        matrix_bar, -np.outer(multiplier, np.linalg.solve(matrix, b)), rtol=1e-9, atol=1e-13
    )


def test_adjoint_iterations_are_independent_of_the_primal_ones(x64):
    a, rhs, cotangent = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9), random(1, 1, 9)
    mode = prdp.Implicit(adjoint_iterations=3)
    _, pull_back = jax.vjp(
        lambda b: prdp.solve(a, b, differentiation=mode, iterations=50, tolerance=0.0).value, rhs
    )
    expected = prdp.solve(a, cotangent, iterations=3, tolerance=0.0).value
    np.testing.assert_allclose(pull_back(cotangent)[0], expected, rtol=1e-14)


def test_the_adjoint_tolerance_is_relative_to_the_cotangent(x64):
    a, rhs, cotangent = heat((1, 9), "dirichlet", 0.3), 1e6 * random(0, 1, 9), 1e-6 * random(1, 1, 9)
    mode = prdp.Implicit(adjoint_tolerance=1e-3)
    (_, cost) = jax.vjp(
        lambda b, c: (
            prdp.solve(a, b, differentiation=mode, iterations=500, tolerance=1e-10, adjoint_stats=c).value
        ),
        rhs,
        AdjointStats.zero(),
    )
    _, spent = cost(cotangent)
    expected = prdp.solve(a, cotangent, iterations=500, tolerance=1e-3).iterations
    assert int(spent.iterations) == int(expected)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_adjoint_stats_counts_what_the_backward_pass_did(mode):
    a, rhs = heat((1, 9), "dirichlet", 0.3), jnp.asarray(random(0, 2, 1, 9), jnp.float32)

    def loss(b, cost):
        first = prdp.solve(
            a, b, differentiation=MODES[mode], iterations=5, tolerance=0.0, adjoint_stats=cost
        ).value
        second = prdp.solve(
            a,
            first,
            solver=prdp.GMRES(2),
            differentiation=MODES[mode],
            iterations=3,
            tolerance=0.0,
            adjoint_stats=cost,
        )
        return jnp.sum(second.value**2)

    cost = jax.jit(jax.grad(loss, 1))(rhs, AdjointStats.zero())
    assert (float(cost.iterations), float(cost.matvecs)) == (8.0, 5.0 + 3 * 3)


@modes
def test_k_is_traced_in_both_directions(mode):
    traces = []

    @jax.jit
    def gradient(b, k):
        traces.append(1)
        return jax.grad(
            lambda b: jnp.sum(
                prdp.solve(heat((1, 9), "dirichlet"), b, differentiation=MODES[mode], iterations=k).value
            )
        )(b)

    results = [gradient(jnp.ones((1, 9)), k) for k in (1, 2, 3, 20)]
    assert len(traces) == 1
    assert len({float(r.sum()) for r in results}) >= 3


def test_unrolled_gradients_of_a_system_do_not_notice_its_batch(x64):
    a = heat((1, 9), "dirichlet", 0.3)
    smooth = jnp.sin(jnp.pi * jnp.arange(1, 10) / 10)[None]
    rhs = jnp.stack([smooth, random(0, 1, 9), jnp.zeros((1, 9))])
    weights = random(1, 3, 1, 9)

    @jax.jit
    @jax.grad
    def gradient(rhs, weights):
        mode = prdp.Unrolled(100)
        return jnp.sum(
            weights * prdp.solve(a, rhs, differentiation=mode, iterations=60, tolerance=1e-4).value
        )

    together = gradient(rhs, weights)
    for i in range(3):
        np.testing.assert_allclose(together[i], gradient(rhs[i], weights[i]), rtol=1e-13)


def test_the_guess_has_a_gradient_when_unrolled_and_none_when_implicit(x64):
    a, rhs, guess = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9), random(1, 1, 9)

    def total(guess, mode):
        return jnp.sum(
            prdp.solve(a, rhs, differentiation=mode, iterations=2, tolerance=0.0, guess=guess).value
        )

    gradient = jax.jit(jax.grad(total), static_argnums=1)
    np.testing.assert_array_equal(gradient(guess, prdp.Implicit()), 0)
    matrix = np.asarray(a.as_dense())
    iteration = np.eye(9) - matrix / np.diagonal(matrix)
    expected = np.linalg.matrix_power(iteration, 2).T @ np.ones(9)
    np.testing.assert_allclose(gradient(guess, prdp.Unrolled(5))[0], expected, rtol=1e-12)


def test_too_small_a_buffer_is_refused_or_nan_but_never_silent():
    a, rhs = heat((1, 9), "dirichlet"), jnp.ones((1, 9))
    mode = prdp.Unrolled(iterations_cap=3)
    with pytest.raises(ValueError, match="iterations=4 is above iterations_cap=3"):
        prdp.solve(a, rhs, differentiation=mode, iterations=4)
    with pytest.raises(ValueError, match="needs iterations_cap"):
        jax.jit(lambda k: prdp.solve(a, rhs, differentiation=prdp.Unrolled(), iterations=k))(3)
    solution = jax.jit(lambda k: prdp.solve(a, rhs, differentiation=mode, iterations=k, tolerance=0.0))(4)
    assert Status(int(solution.status)) is Status.BUFFER_TOO_SMALL
    assert np.isnan(solution.value).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "operator"),
    [
        (prdp.BiCGStab(), convection(9, random(1, 9))),
        (prdp.ConjugateGradient(), heat((1, 9), "dirichlet")),
        (prdp.SteepestDescent(), heat((1, 9), "dirichlet")),
    ],
)
def test_unrolled_krylov_solvers_keep_their_gradient_far_beyond_convergence_in_float32(solver, operator):
    # The squares of their denominators underflow from a relative residual of 1e-10 on.
    a = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), operator)
    rhs = jnp.asarray(random(2, 3, *a.shape), jnp.float32)

    def total(a, rhs, mode):
        solution = prdp.solve(a, rhs, solver=solver, differentiation=mode, iterations=100, tolerance=0.0)
        return jnp.sum(jnp.sin(1.3 * solution.value))

    options = ROUNDED_ONCE if isinstance(solver, prdp.ConjugateGradient) else None
    gradient = jax.jit(jax.grad(total, (0, 1)), static_argnums=2, compiler_options=options)
    unrolled, implicit = (gradient(a, rhs, mode) for mode in (prdp.Unrolled(), prdp.Implicit()))
    for ours, exact in zip(jax.tree.leaves(unrolled), jax.tree.leaves(implicit), strict=True):
        np.testing.assert_allclose(ours, exact, atol=3e-6 * np.abs(exact).max())


@pytest.mark.slow
def test_unrolled_gradients_through_a_breakdown_of_bicgstab_are_finite(x64):
    # From e_1: r_0.Ap = 0, As.s = 0 and r_0.r = 0 in the first iteration.
    matrices = jnp.asarray(
        [
            [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]],
        ]
    )

    def total(matrices, rhs):
        a = Dense(matrices, (3,))
        mode = prdp.Unrolled()
        return jnp.sum(
            prdp.solve(a, rhs, solver=prdp.BiCGStab(), differentiation=mode, iterations=9).value ** 2
        )

    for gradient in jax.jit(jax.grad(total, (0, 1)))(matrices, jnp.tile(jnp.eye(3)[0], (3, 1))):
        assert np.isfinite(gradient).all()


@modes
def test_gradients_of_a_failed_system_do_not_reach_the_others(mode, x64):
    a = heat((1, 9), "dirichlet")
    rhs = random(0, 2, 1, 9).at[1, 0, 0].set(jnp.nan)
    weights = jnp.asarray([1.0, 0.0]).reshape(2, 1, 1)

    def total(rhs):
        value = prdp.solve(a, rhs, differentiation=MODES[mode], iterations=20).value
        return jnp.sum(jnp.where(weights > 0, value, 0.0))

    assert np.isfinite(jax.jit(jax.grad(total))(rhs)[0]).all()


@pytest.mark.parametrize(
    ("solver", "mode"),
    some_fast(itertools.product(["jacobi", "gmres_2"], MODES), [("jacobi", "unrolled")]),
)
def test_gradients_with_respect_to_every_coefficient_of_a_stencil(solver, mode, x64):
    # One coefficient field per offset, one operator per sample.
    base = identity((5,), 1, "periodic") - 0.2 * laplacian((5,), 1, 1.0, "periodic")
    fields = tuple(c + 0.05 * random(i, 2, 5) for i, c in enumerate(base.coefficients))
    rhs = random(7, 2, 5)

    def loss(fields, dense):
        a = Stencil(fields, base.offsets, base.shape, base.boundary)
        if dense:
            u = jnp.linalg.solve(a.as_dense(), rhs[..., None])[..., 0]
        else:
            u = prdp.solve(
                a,
                rhs,
                solver=SOLVERS[solver].solver,
                differentiation=MODES[mode],
                iterations=500,
                tolerance=1e-13,
            ).value
        return jnp.sum(u**3)

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    for ours, exact in zip(gradient(fields, False), gradient(fields, True), strict=True):
        np.testing.assert_allclose(ours, exact, atol=1e-10 * np.abs(exact).max())


@modes
def test_vmap_over_k_gives_each_lane_its_own_iterations(mode, x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9)

    def gradient(k):
        return jax.grad(
            lambda b: jnp.sum(
                prdp.solve(a, b, differentiation=MODES[mode], iterations=k, tolerance=0.0).value ** 2
            )
        )(rhs)

    together, alone = jax.jit(lambda ks: (jax.vmap(gradient)(ks), jax.lax.map(gradient, ks)))(
        jnp.asarray([1, 4, 9])
    )
    np.testing.assert_allclose(together, alone, rtol=1e-12)
