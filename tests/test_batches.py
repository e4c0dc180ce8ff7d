"""Batches of dense systems: as NumPy solves them, and never waiting for themselves."""

import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prdp.linalg import invert_each, solve_each
from tests.cases import some_fast

GENERATOR = np.random.default_rng(0)


def matrices(*shape, imaginary=False):
    real = GENERATOR.standard_normal(shape)
    return real + 1j * GENERATOR.standard_normal(shape) if imaginary else real


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 7, 7), (3, 7)), ((2, 3, 5, 5), (2, 3, 5)), ((3, 4, 4), (2, 3, 4)), ((2, 3, 4, 4), (3, 4))],
)
def test_systems_are_solved_as_numpy_does(a, b, x64):
    a, b = matrices(*a), matrices(*b)
    np.testing.assert_allclose(
        jax.jit(solve_each)(a, b), np.linalg.solve(a, b[..., None])[..., 0], rtol=1e-11
    )


@pytest.mark.parametrize(
    ("shape", "imaginary"),
    some_fast(
        itertools.product([(1, 1), (50, 2, 2), (4, 9, 3, 3), (6, 5, 5)], [False, True]),
        [((1, 1), False), ((4, 9, 3, 3), True), ((6, 5, 5), False)],
    ),
)
def test_inverses_are_those_of_numpy(shape, imaginary, x64):
    a = matrices(*shape, imaginary=imaginary)
    np.testing.assert_allclose(jax.jit(invert_each)(a), np.linalg.inv(a), rtol=1e-9, atol=1e-11)


def test_a_pivot_of_zero_is_exchanged(x64):
    # The saddle point of a flow has zeros on its diagonal.
    a = np.array([[[0.0, 0, 2], [0, 4, 1], [5, 1, 0]], [[1e-20, 1, 0], [1, 0, 0], [0, 0, 1]]])
    np.testing.assert_allclose(jax.jit(invert_each)(a), np.linalg.inv(a), rtol=1e-14, atol=1e-15)


def test_the_gradient_of_an_inverse_is_that_of_the_formula(x64):
    a, w = matrices(4, 3, 3), matrices(4, 3, 3)
    inverse = np.linalg.inv(a)
    expected = -np.einsum("bji,bjk,blk->bil", inverse, w, inverse)
    gradient = jax.jit(jax.grad(lambda a: jnp.sum(w * invert_each(a))))(a)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9)


@pytest.mark.parametrize("of", [lambda a: solve_each(a, jnp.ones(a.shape[:-1])), invert_each])
def test_only_the_singular_ones_are_not_finite(of, x64):
    a = matrices(3, 2, 2)
    a[1] = [[1, 2], [2, 4]]
    found = np.asarray(jax.jit(of)(a))
    assert np.isfinite(found.reshape(3, -1)).all(1).tolist() == [True, False, True]


TWO_AT_A_TIME = """
import jax, jax.numpy as jnp, numpy as np
from prdp.linalg import invert_each, solve_each

a = jnp.asarray(np.random.default_rng(0).standard_normal((2, 75, 75)), jnp.float32) + 20 * jnp.eye(75)
small = jnp.asarray(np.random.default_rng(1).standard_normal((20000, 3, 3)), jnp.float32) + 9 * jnp.eye(3)
turned = lambda x: x.swapaxes(1, 2)

@jax.jit
def program(a, small):
    b = jnp.ones(a.shape[:-1])
    return [solve_each(x, b).sum() for x in (a, turned(a), 2 * a, 3 * turned(a))] + [
        invert_each(x).sum() for x in (small, turned(small))
    ]

for i in range(20):
    jax.block_until_ready(program(a + i, small))
"""


@pytest.mark.slow
def test_programs_with_several_of_them_end():
    # With jnp.linalg.solve and two cores, one of the first ten calls never returned.
    subprocess.run([sys.executable, "-c", TWO_AT_A_TIME], check=True, timeout=120)
