"""Burgers' equation against analysis, and gradients through a matrix that depends on the state."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp.data import reference_solution
from prdp.physics import Burgers
from tests.cases import MODES, random, some_fast


def cole_hopf(x, t, nu, a=0.6):
    """`u = -2 nu phi_x / phi` with the heat solution `phi = 1 + a exp(-4 pi^2 nu t) cos(2 pi x)`."""
    decay = a * np.exp(-4 * np.pi**2 * nu * t)
    return 4 * np.pi * nu * decay * np.sin(2 * np.pi * x) / (1 + decay * np.cos(2 * np.pi * x))


def error_of(points, steps, nu=0.05, end=0.2):
    burgers = Burgers(1, points, diffusivity=nu, time_step=end / steps)
    x = burgers.grid()[0]
    u = cole_hopf(x, 0.0, nu)[None, None]
    for _ in range(steps):
        u = reference_solution(burgers, u)
    return np.abs(u[0, 0] - cole_hopf(x, end, nu)).max()


def test_the_cole_hopf_solution_is_reached_at_first_order_in_space_and_time():
    # Upwind and backward Euler are both of first order: halving both steps halves the error.
    assert np.log2(error_of(64, 40) / error_of(128, 80)) == pytest.approx(1, abs=0.1)


def test_upwinding_looks_against_the_wind():
    burgers = Burgers(1, 8, diffusivity=1e-9, time_step=0.1)
    for sign in (1.0, -1.0):
        matrix = np.asarray(burgers.operator(jnp.full((1, 8), sign)).as_dense())
        behind = np.roll(np.eye(8), -int(sign), axis=1)
        expected = np.eye(8) * (1 + 0.1 * 8) - 0.1 * 8 * behind
        np.testing.assert_allclose(matrix, expected, atol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_uniform_state_stays(dimensions):
    burgers = Burgers(dimensions, 6)
    state = np.full((2, *burgers.shape), 0.7)
    np.testing.assert_allclose(reference_solution(burgers, state), state, atol=1e-14)


def test_every_channel_is_moved_by_all_winds(x64):
    burgers = Burgers(2, 5, diffusivity=0.01, time_step=0.05)
    matrix = np.asarray(burgers.operator(random(0, 3, *burgers.shape)).as_dense())
    assert matrix.shape == (3, 50, 50)
    np.testing.assert_array_equal(matrix[:, :25, :25], matrix[:, 25:, 25:])
    np.testing.assert_array_equal(matrix[:, :25, 25:], 0)
    # Differences of a constant vanish.
    np.testing.assert_allclose(matrix.sum(-1), 1, atol=1e-13)


@pytest.mark.parametrize(
    ("dimensions", "solver", "mode"),
    some_fast(
        itertools.product([1, 2], [prdp.GMRES(2), prdp.Jacobi(), prdp.Direct()], MODES),
        [
            *((1, prdp.Jacobi(), "unrolled"), (2, prdp.Jacobi(), "implicit")),
            *((2, prdp.GMRES(2), "implicit"), (1, prdp.Direct(), "unrolled")),
        ],
    ),
)
def test_the_gradient_of_a_step_with_respect_to_its_state(dimensions, solver, mode, x64):
    burgers = Burgers(dimensions, 6, diffusivity=0.02, time_step=0.05)
    state, direction = random(1, 2, *burgers.shape), random(2, 2, *burgers.shape)

    @jax.jit
    @jax.value_and_grad
    def value(state):
        solution = prdp.solve(
            burgers.operator(state),
            burgers.rhs(state),
            solver=solver,
            differentiation=MODES[mode],
            iterations=300,
            tolerance=1e-14,
        )
        return jnp.sum(jnp.sin(3 * solution.value))

    step = 1e-4
    ahead, behind = (value(state + s * step * direction)[0] for s in (1, -1))
    ahead2, behind2 = (value(state + 2 * s * step * direction)[0] for s in (1, -1))
    difference = (8 * (ahead - behind) - ahead2 + behind2) / (12 * step)
    gradient = np.sum(value(state)[1] * direction)
    assert float(gradient) == pytest.approx(float(difference), rel=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Burgers(3, 8), "dimensions=3"),
        (lambda: Burgers(1, 2), "points=2"),
        (lambda: Burgers(1, 8, time_step=0.0), "time_step=0.0"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_large_reference_steps_by_sparse_factors_are_those_by_dense_ones():
    burgers = Burgers(2, 24, diffusivity=0.01, time_step=0.02)
    state = np.random.default_rng(0).standard_normal((2, *burgers.shape))
    assert state[0].size > 1024
    matrix = jax.jit(lambda u: burgers.operator(u).as_dense())
    with jax.enable_x64(True):
        dense = np.asarray(matrix(jnp.asarray(state)))
    expected = np.linalg.solve(dense, state.reshape(2, -1, 1)).reshape(state.shape)
    np.testing.assert_allclose(reference_solution(burgers, state), expected, atol=1e-12)
