"""Every mode against finite differences in float64, the dense adjoint, and a plain Python loop."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import AdjointStats, Status
from prdp.linalg import Dense, Stencil, identity, laplacian
from tests.cases import MODES, SOLVERS, convection, heat, random, spd_matrix

solvers = pytest.mark.parametrize("solver", SOLVERS)
modes = pytest.mark.parametrize("mode", MODES)


def problem(solver):
    """Operator parameters, a map from them to the operator, and right-hand sides of three samples."""
    if SOLVERS[solver].non_symmetric:
        return random(1, 9), lambda winds: convection(9, winds), random(2, 3, 9)
    diffusion = jnp.asarray(0.05)
    return diffusion, lambda c: heat((1, 9), "dirichlet", c), random(2, 3, 1, 9)


def objective(solver, mode, operator_of, **kwargs):
    def value(parameters, rhs):
        options = {"iterations": SOLVERS[solver].iterations, "tolerance": 1e-13, **kwargs}
        solution = prdp.solve(
            operator_of(parameters),
            rhs,
            solver=SOLVERS[solver].solver,
            differentiation=MODES[mode],
            **options,
        )
        return jnp.sum(jnp.sin(1.3 * solution.value))

    return value


@solvers
@modes
def test_converged_gradient_equals_the_dense_adjoint(solver, mode, x64):
    parameters, operator_of, rhs = problem(solver)

    def dense(parameters, rhs):
        matrix = operator_of(parameters).as_dense()
        flat = rhs.reshape(3, -1)
        return jnp.sum(jnp.sin(1.3 * jnp.linalg.solve(matrix, flat.T)))

    ours = jax.jit(jax.grad(objective(solver, mode, operator_of), (0, 1)))(parameters, rhs)
    exact = jax.grad(dense, (0, 1))(parameters, rhs)
    for a, b in zip(ours, exact, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9 * float(jnp.abs(b).max()))


@solvers
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_unrolled_gradient_equals_finite_differences_at_any_k(solver, iterations, x64):
    parameters, operator_of, rhs = problem(solver)
    value = jax.jit(objective(solver, "unrolled", operator_of, iterations=iterations, tolerance=0.0))
    gradient = jax.grad(value, (0, 1))(parameters, rhs)
    direction = jax.tree.map(lambda x: random(9, *x.shape), (parameters, rhs))
    exact = sum(jnp.sum(g * d) for g, d in zip(gradient, direction, strict=True))
    step = 2e-4

    def along(t):
        return value(*(x + t * d for x, d in zip((parameters, rhs), direction, strict=True)))

    # Fourth-order central difference: its error is below 1e-10 here.
    difference = (8 * (along(step) - along(-step)) - along(2 * step) + along(-2 * step)) / (12 * step)
    np.testing.assert_allclose(exact, difference, rtol=1e-9)


def python_loop(solver, operator, rhs, iterations):
    operator = solver.prepare(operator)
    state = solver.init(operator, rhs, None)
    for _ in range(iterations):
        state = solver.step(operator, rhs, state)
    return solver.solution(operator, state)


@solvers
def test_unrolled_gradient_equals_that_of_a_python_loop(solver, x64):
    parameters, operator_of, rhs = problem(solver)
    case = SOLVERS[solver].solver
    iterations = 4

    def plain(parameters, rhs):
        return jnp.sum(jnp.sin(1.3 * python_loop(case, operator_of(parameters), rhs, iterations)))

    ours = objective(solver, "unrolled", operator_of, iterations=iterations, tolerance=0.0)
    for a, b in zip(
        jax.grad(ours, (0, 1))(parameters, rhs), jax.grad(plain, (0, 1))(parameters, rhs), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-12 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("solver", ["jacobi", "damped_jacobi", "richardson"])
@pytest.mark.parametrize("iterations", [1, 3, 8])
def test_modes_agree_for_stationary_solvers_with_parameters_in_the_rhs(solver, iterations, x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(2, 3, 1, 9)
    values = [objective(solver, mode, lambda _: a, iterations=iterations, tolerance=0.0) for mode in MODES]
    first, second = (jax.grad(v, 1)(0.0, rhs) for v in values)
    np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-14)


@modes
@pytest.mark.parametrize(
    "solver", ["jacobi", "steepest_descent", "conjugate_gradient", "gmres_2", "bicgstab"]
)
@pytest.mark.parametrize("size", [1e-8, 1e-4, 3.7, 1e4])
def test_the_vjp_is_linear_in_the_cotangent_in_float32(mode, solver, size):
    a = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), heat((1, 9), "dirichlet", 0.3))
    rhs = jnp.asarray(random(2, 3, 1, 9), jnp.float32)
    cotangent = jnp.asarray(random(3, 3, 1, 9), jnp.float32)

    def value(operator, rhs):
        return prdp.solve(
            operator, rhs, solver=SOLVERS[solver].solver, differentiation=MODES[mode], iterations=7
        ).value

    _, pull_back = jax.vjp(value, a, rhs)
    size = jnp.float32(size)
    for scaled, plain in zip(
        jax.tree.leaves(pull_back(size * cotangent)), jax.tree.leaves(pull_back(cotangent)), strict=True
    ):
        np.testing.assert_allclose(scaled, size * plain, rtol=2e-4, atol=3e-6 * float(size))
        # A power of two scales every bit.
    power = jnp.float32(2.0**-30)
    for scaled, plain in zip(
        jax.tree.leaves(pull_back(power * cotangent)), jax.tree.leaves(pull_back(cotangent)), strict=True
    ):
        if mode == "implicit":
            np.testing.assert_array_equal(scaled, power * plain)


def test_a_tiny_loss_keeps_its_gradient():
    # The primal tolerance times ||b|| would be larger than the whole cotangent here.
    a, rhs = heat((1, 9), "dirichlet"), jnp.asarray(100 * random(2, 1, 9), jnp.float32)
    gradient = jax.grad(
        lambda b: 1e-7 * jnp.sum(prdp.solve(a, b, solver=prdp.GMRES(2), iterations=50).value ** 2)
    )(rhs)
    exact = 2e-7 * np.linalg.solve(a.as_dense().T, np.linalg.solve(a.as_dense(), rhs.ravel()))
    np.testing.assert_allclose(gradient.ravel(), exact, rtol=1e-4)


def test_the_implicit_adjoint_uses_the_transpose(x64):
    # A VJP that is right for symmetric matrices only is wrong by O(1) here.
    matrix = spd_matrix(6) + 8 * jnp.triu(random(3, 6, 6), 1)
    b, cotangent = random(0, 6), random(1, 6)
    _, pull_back = jax.vjp(
        lambda m, b: (
            prdp.solve(Dense(m, (6,)), b, solver=prdp.GMRES(6), iterations=30, tolerance=1e-14).value
        ),
        matrix,
        b,
    )
    matrix_bar, b_bar = pull_back(cotangent)
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


@modes
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

    cost = jax.grad(loss, 1)(rhs, AdjointStats.zero())
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

    def total(rhs, weights):
        mode = prdp.Unrolled(100)
        return jnp.sum(
            weights * prdp.solve(a, rhs, differentiation=mode, iterations=60, tolerance=1e-4).value
        )

    together = jax.grad(total)(rhs, weights)
    for i in range(3):
        np.testing.assert_allclose(together[i], jax.grad(total)(rhs[i], weights[i]), rtol=1e-13)


def test_the_guess_has_a_gradient_when_unrolled_and_none_when_implicit(x64):
    a, rhs, guess = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9), random(1, 1, 9)

    def total(guess, mode):
        return jnp.sum(
            prdp.solve(a, rhs, differentiation=mode, iterations=2, tolerance=0.0, guess=guess).value
        )

    np.testing.assert_array_equal(jax.grad(total)(guess, prdp.Implicit()), 0)
    matrix = np.asarray(a.as_dense())
    iteration = np.eye(9) - matrix / np.diagonal(matrix)
    expected = np.linalg.matrix_power(iteration, 2).T @ np.ones(9)
    np.testing.assert_allclose(jax.grad(total)(guess, prdp.Unrolled(5))[0], expected, rtol=1e-12)


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

    unrolled, implicit = (
        jax.grad(total, (0, 1))(a, rhs, mode) for mode in (prdp.Unrolled(), prdp.Implicit())
    )
    for ours, exact in zip(jax.tree.leaves(unrolled), jax.tree.leaves(implicit), strict=True):
        np.testing.assert_allclose(ours, exact, atol=3e-6 * float(jnp.abs(exact).max()))


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

    for gradient in jax.grad(total, (0, 1))(matrices, jnp.tile(jnp.eye(3)[0], (3, 1))):
        assert np.isfinite(gradient).all()


@modes
def test_gradients_of_a_failed_system_do_not_reach_the_others(mode, x64):
    a = heat((1, 9), "dirichlet")
    rhs = random(0, 2, 1, 9).at[1, 0, 0].set(jnp.nan)
    weights = jnp.asarray([1.0, 0.0]).reshape(2, 1, 1)

    def total(rhs):
        value = prdp.solve(a, rhs, differentiation=MODES[mode], iterations=20).value
        return jnp.sum(jnp.where(weights > 0, value, 0.0))

    assert np.isfinite(jax.grad(total)(rhs)[0]).all()


@pytest.mark.parametrize(("solver", "mode"), [*itertools.product(["jacobi", "gmres_2"], MODES)])
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

    for ours, exact in zip(jax.grad(loss)(fields, False), jax.grad(loss)(fields, True), strict=True):
        np.testing.assert_allclose(ours, exact, atol=1e-10 * float(jnp.abs(exact).max()))


@modes
def test_vmap_over_k_gives_each_lane_its_own_iterations(mode, x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9)

    def gradient(k):
        return jax.grad(
            lambda b: jnp.sum(
                prdp.solve(a, b, differentiation=MODES[mode], iterations=k, tolerance=0.0).value ** 2
            )
        )(rhs)

    together = jax.vmap(gradient)(jnp.asarray([1, 4, 9]))
    for lane, k in zip(together, (1, 4, 9), strict=True):
        np.testing.assert_allclose(lane, gradient(k), rtol=1e-12)
