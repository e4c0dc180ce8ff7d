"""Navier-Stokes against analysis, dense algebra and finite differences."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp.data import oseen, reference_solution
from prdp.data.sparse import as_sparse
from prdp.physics import FilteredNoise, NavierStokes
from tests.cases import MODES, random, some_fast

SOLVERS = {
    "gmres": prdp.GMRES(4),
    "gmres_fourier": prdp.Preconditioned(prdp.GMRES(2), prdp.Fourier()),
    "bicgstab_fourier": prdp.Preconditioned(prdp.BiCGStab(), prdp.Fourier()),
    "direct": prdp.Direct(),
}


def points_of(n):
    """Coordinates of u_1 (lower face in x), u_2 (lower face in y) and p (centre) on an n x n grid."""
    lower, centre = np.arange(n) / n, (np.arange(n) + 0.5) / n
    return [np.meshgrid(x, y, indexing="ij") for x, y in ((lower, centre), (centre, lower), (centre, centre))]


def taylor_green(n, t, nu):
    """`u = (sin kx cos ky, -cos kx sin ky) e^(-2 nu k^2 t)`, k = 2 pi, and its pressure."""
    (x1, y1), (x2, y2), (xp, yp) = points_of(n)
    k = 2 * np.pi
    decay = np.exp(-2 * nu * k**2 * t)
    u = np.sin(k * x1) * np.cos(k * y1) * decay
    v = -np.cos(k * x2) * np.sin(k * y2) * decay
    p = (np.cos(2 * k * xp) + np.cos(2 * k * yp)) / 4 * decay**2
    return np.stack([u, v, p])[None]


def random_state(physics, samples=2, key=0):
    fields = np.random.default_rng(key).standard_normal((samples, 2, physics.points, physics.points))
    return physics.initial_state(fields)


def roll_out(n, steps, nu=0.01, end=0.4):
    physics = NavierStokes(n, diffusivity=nu, time_step=end / steps)
    state = taylor_green(n, 0.0, nu)
    for _ in range(steps):
        state = reference_solution(physics, state)
    return state, taylor_green(n, end, nu)


@pytest.mark.parametrize(
    ("grids", "tolerance"),
    [
        # On coarse grids the pressure is not yet there.
        (((32, 14), (64, 28)), 0.2),
        pytest.param(((24, 10), (48, 20), (96, 40)), 0.15, marks=pytest.mark.slow),
    ],
)
def test_taylor_green_vortices_decay_at_first_order(grids, tolerance):
    # Upwinding and backward Euler are of first order: halving h and dt halves the error, in velocity and pressure.
    errors = []
    for n, steps in grids:
        state, exact = roll_out(n, steps)
        errors.append([np.sqrt(np.mean((state - exact)[0, c] ** 2)) for c in range(3)])
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    np.testing.assert_allclose(orders[-1], 1, atol=tolerance)
    assert errors[-1][0] < 0.1


def test_slow_vortices_decay_by_the_discrete_factor():
    # Without convection a step of mode k multiplies by 1/(1 + nu dt 2 (2 N sin(pi k/N))^2) exactly.
    physics = NavierStokes(16, diffusivity=0.02, time_step=0.1)
    state = 1e-9 * taylor_green(16, 0.0, 0.0)
    state[:, 2] = 0
    after = reference_solution(physics, state)
    factor = 1 / (1 + 0.02 * 0.1 * 2 * (2 * 16 * np.sin(np.pi / 16)) ** 2)
    np.testing.assert_allclose(after[:, :2], factor * state[:, :2], atol=1e-16)


def test_gradient_is_minus_the_transposed_divergence(x64):
    physics = NavierStokes(5)
    matrix = np.asarray(physics.operator(jnp.asarray(random_state(physics, 1)[0])).as_dense())
    np.testing.assert_array_equal(matrix[:50, 50:], -matrix[50:, :50].T)
    # The pin, and nothing else, acts on the pressure alone.
    np.testing.assert_allclose(matrix[50:, 50:], 10 / 25, rtol=1e-14)


def test_winds_are_interpolated_to_where_they_are_needed():
    errors = []
    for n in (16, 32):
        (x1, y1), (x2, y2), _ = points_of(n)

        def first(x, y):
            return np.sin(2 * np.pi * (x + 0.3)) * np.cos(2 * np.pi * y)

        def second(x, y):
            return np.cos(2 * np.pi * (x - y))

        state = np.stack([first(x1, y1), second(x2, y2), 0 * x1])
        (u_at_u, v_at_u), (u_at_v, v_at_v) = NavierStokes(n)._winds(jnp.asarray(state))
        np.testing.assert_allclose(u_at_u, first(x1, y1), atol=1e-6)
        np.testing.assert_allclose(v_at_v, second(x2, y2), atol=1e-6)
        errors.append(max(np.abs(v_at_u - second(x1, y1)).max(), np.abs(u_at_v - first(x2, y2)).max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_a_uniform_flow_stays():
    physics = NavierStokes(6)
    state = np.zeros((1, 3, 6, 6))
    state[:, 0], state[:, 1] = 0.7, -0.4
    np.testing.assert_allclose(reference_solution(physics, state), state, atol=1e-13)


@pytest.mark.parametrize("winds", ["pointwise", "averaged"])
def test_the_reference_step_is_the_dense_solution(winds, x64):
    physics = NavierStokes(6, diffusivity=0.01, winds=winds)
    state = random_state(physics, 3)
    operator, rhs = physics.operator(jnp.asarray(state)), physics.rhs(jnp.asarray(state))
    dense = np.linalg.solve(np.asarray(operator.as_dense()), np.asarray(rhs).reshape(3, -1, 1))
    after = reference_solution(physics, state)
    np.testing.assert_allclose(after, dense.reshape(state.shape), atol=1e-12)
    np.testing.assert_allclose(after[:, 2].mean((-1, -2)), 0, atol=1e-13)
    np.testing.assert_allclose(physics.divergence(after), 0, atol=1e-12)
    # The pin does not touch the solution: the matrix without it is satisfied too.
    for i in range(3):
        sparse = as_sparse(jax.tree.map(lambda c, i=i: c[i] if c.ndim > 2 else c, operator))
        np.testing.assert_allclose(sparse @ after[i].ravel(), np.asarray(rhs)[i].ravel(), atol=1e-11)


def test_a_reference_that_is_not_converged_is_refused(monkeypatch):
    monkeypatch.setattr(oseen, "_ACCEPTED", 0.0)
    with pytest.raises(FloatingPointError, match="relative residual"):
        reference_solution(NavierStokes(6), random_state(NavierStokes(6)))


@pytest.mark.fast("gmres")
@pytest.mark.parametrize("solver", some_fast(SOLVERS, ["gmres", "gmres_fourier", "direct"]))
def test_a_converged_step_is_free_of_divergence(solver, x64):
    physics = NavierStokes(8)
    state = jnp.asarray(random_state(physics))
    solution = prdp.solve(
        physics.operator(state),
        physics.rhs(state),
        solver=SOLVERS[solver],
        iterations=500,
        tolerance=1e-13,
    )
    np.testing.assert_array_equal(solution.status, prdp.Status.CONVERGED)
    np.testing.assert_allclose(solution.value, reference_solution(physics, np.asarray(state)), atol=1e-11)
    np.testing.assert_allclose(physics.divergence(solution.value), 0, atol=1e-10)
    np.testing.assert_allclose(jnp.mean(solution.value[:, 2], (-1, -2)), 0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "mode"),
    list(itertools.product(SOLVERS, MODES)),
)
def test_the_gradient_of_a_step_with_respect_to_its_state(solver, mode, x64):
    # The cotangent has a mean in the pressure, the null space of the system without its pin.
    physics = NavierStokes(4, diffusivity=0.02)
    state, direction = jnp.asarray(random_state(physics)), random(2, 2, *physics.shape)

    @jax.jit
    @jax.value_and_grad
    def value(state):
        solution = prdp.solve(
            physics.operator(state),
            physics.rhs(state),
            solver=SOLVERS[solver],
            differentiation=MODES[mode],
            iterations=300,
            tolerance=1e-14,
        )
        return jnp.sum(jnp.sin(3 * solution.value + 0.5))

    step = 1e-4
    ahead, behind = (value(state + s * step * direction)[0] for s in (1, -1))
    far_ahead, far_behind = (value(state + 2 * s * step * direction)[0] for s in (1, -1))
    difference = (8 * (ahead - behind) - (far_ahead - far_behind)) / (12 * step)
    gradient = np.sum(value(state)[1] * direction)
    np.testing.assert_allclose(gradient, difference, rtol=1e-7)


@pytest.mark.slow
def test_an_adjoint_tolerance_relative_to_the_primal_loses_the_gradient(x64):
    # A mean squared loss: its cotangent is far below 1e-5 ||b||, the threshold of jax.scipy's transposed GMRES.
    physics = NavierStokes(8)
    state, target = (jnp.asarray(random_state(physics, key=k)) for k in (0, 1))

    @partial(jax.jit, static_argnums=1)
    @jax.value_and_grad
    def loss(state, relative_to, factor):
        solution = prdp.solve(
            physics.operator(state),
            physics.rhs(state),
            solver=prdp.GMRES(4),
            differentiation=prdp.Implicit(adjoint_tolerance_relative_to=relative_to),
            iterations=400,
            tolerance=1e-5,
        )
        return factor * jnp.mean((solution.value - target) ** 2)

    direction = random(3, *state.shape)
    ahead, behind = (loss(state + s * 1e-4 * direction, "cotangent", 1e-3)[0] for s in (1, -1))
    _, gradient = loss(state, "cotangent", 1e-3)
    np.testing.assert_allclose(np.sum(direction * gradient), (ahead - behind) / 2e-4, rtol=1e-3)
    np.testing.assert_array_equal(loss(state, "primal", 1e-3)[1], 0)
    # A large loss gets its gradient either way.
    _, large = loss(state, "primal", 1e6)
    np.testing.assert_allclose(large, 1e9 * gradient, atol=1e-3 * np.abs(large).max())


@pytest.mark.slow
def test_the_converged_iterations_are_the_papers():
    physics, fine = NavierStokes(48), NavierStokes(97)
    (fields,) = FilteredNoise().sample({0: 12}, fine.grid())
    state = jnp.asarray(fine.initial_state(fields)[..., 1::2, 1::2], jnp.float32)
    solution = prdp.solve(
        physics.operator(state), physics.rhs(state), solver=prdp.GMRES(8), iterations=100, tolerance=1e-5
    )
    assert np.median(solution.iterations) == pytest.approx(41, abs=2)
    assert solution.iterations.min() >= 36
    assert solution.iterations.max() <= 48


def test_initial_states_are_free_of_divergence():
    physics = NavierStokes(9)
    fields = np.random.default_rng(0).standard_normal((3, 2, 9, 9))
    state = physics.initial_state(fields)
    np.testing.assert_allclose(physics.divergence(state), 0, atol=1e-12)
    np.testing.assert_array_equal(state[:, 2], 0)
    # It is an orthogonal projection.
    np.testing.assert_allclose(np.sum((fields - state[:, :2]) * state[:, :2]), 0, atol=1e-11)
    np.testing.assert_allclose(physics.initial_state(state[:, :2]), state, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{"points": 2}, {"diffusivity": 0.0}, {"time_step": -1.0}, {"winds": "none"}]
)
def test_parameters_outside_their_range_are_refused(options):
    ((key, value),) = options.items()
    with pytest.raises(ValueError, match=f"{key}={value!r}"):
        NavierStokes(**{"points": 8, **options})
