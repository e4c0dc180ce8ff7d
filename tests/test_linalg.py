"""Operators and stencils against their own matrices and against calculus."""

import itertools

import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest

from prdp.data.sparse import as_sparse
from prdp.linalg import (
    BOUNDARIES,
    CoupledStencil,
    Dense,
    Stencil,
    backward_difference,
    forward_difference,
    from_lineax,
    identity,
    inner,
    laplacian,
    power_of_two_scale,
)
from tests.cases import OPERATORS, convection, random

operators = pytest.mark.parametrize("name", OPERATORS)
EPS = np.finfo(np.float64).eps


def batch_of(operator, key=0, batch=3):
    return random(key, batch, *operator.shape)


@operators
def test_product_equals_the_dense_matrix(name, x64):
    operator = OPERATORS[name]()
    u = batch_of(operator)
    expected = jnp.einsum("...ij,...j->...i", operator.as_dense(), u.reshape(3, -1)).reshape(u.shape)
    np.testing.assert_allclose(operator.mv(u), expected, atol=50 * EPS * float(jnp.abs(expected).max()))


@operators
def test_transpose_is_the_adjoint(name, x64):
    operator = OPERATORS[name]()
    np.testing.assert_array_equal(operator.transpose().as_dense(), jnp.swapaxes(operator.as_dense(), -1, -2))
    u, v = batch_of(operator), batch_of(operator, 1)
    left = inner(operator.mv(u), v, operator.rank)
    right = inner(u, operator.transpose().mv(v), operator.rank)
    np.testing.assert_allclose(left, right, rtol=1e-12)
    np.testing.assert_array_equal(operator.transpose().transpose().as_dense(), operator.as_dense())


@operators
def test_the_vjp_is_the_product_with_the_transpose(name, x64):
    operator = OPERATORS[name]()
    u, cotangent = batch_of(operator), batch_of(operator, 1)
    (found,) = jax.vjp(operator.mv, u)[1](cotangent)
    np.testing.assert_allclose(found, operator.transpose().mv(cotangent), rtol=1e-12, atol=1e-12)


@operators
def test_diagonal_and_row_sums_are_those_of_the_matrix(name, x64):
    operator = OPERATORS[name]()
    matrix = operator.as_dense()
    diagonal = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    field = jnp.broadcast_to(operator.diagonal(), (*matrix.shape[:-2], *operator.shape))
    np.testing.assert_array_equal(field.reshape(diagonal.shape), diagonal)
    assert float(operator.row_sum_bound()) >= float(jnp.max(jnp.sum(jnp.abs(matrix), -1))) * (1 - EPS)


@operators
def test_declared_symmetry_is_true(name, x64):
    operator = OPERATORS[name]()
    matrix = operator.as_dense()
    if operator.symmetric:
        np.testing.assert_array_equal(matrix, jnp.swapaxes(matrix, -1, -2))
    else:
        assert float(jnp.abs(matrix - jnp.swapaxes(matrix, -1, -2)).max()) > 1e-3


@operators
def test_operators_are_pytrees(name, x64):
    operator = OPERATORS[name]()
    u = batch_of(operator)
    np.testing.assert_allclose(
        jax.jit(lambda a, v: a.mv(v))(operator, u), operator.mv(u), rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("points", [1, 2, 3, 5])
def test_stencils_wrap_and_cut_on_the_smallest_grids(boundary, points, x64):
    operator = laplacian((points, points), 2, 1.0, boundary)
    matrix = operator.as_dense()
    np.testing.assert_array_equal(operator.diagonal().ravel()[0], matrix[0, 0])
    expected = np.zeros((points**2, points**2))
    for i, j in itertools.product(range(points), repeat=2):
        row = i * points + j
        expected[row, row] -= 4
        for di, dj in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            ni, nj = i + di, j + dj
            if boundary == "periodic":
                expected[row, (ni % points) * points + nj % points] += 1
            elif 0 <= ni < points and 0 <= nj < points:
                expected[row, ni * points + nj] += 1
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_backward_difference_is_minus_the_transpose_of_forward(boundary, x64):
    for axis in range(2):
        forward = forward_difference((4, 5), 2, 0.1, boundary, axis)
        backward = backward_difference((4, 5), 2, 0.1, boundary, axis)
        np.testing.assert_array_equal(backward.as_dense(), -forward.as_dense().T)


def test_the_laplacian_is_backward_after_forward(x64):
    shape = (6, 5)
    product = sum(
        backward_difference(shape, 2, 0.1, "periodic", axis).as_dense()
        @ forward_difference(shape, 2, 0.1, "periodic", axis).as_dense()
        for axis in range(2)
    )
    np.testing.assert_allclose(laplacian(shape, 2, 0.1, "periodic").as_dense(), product, atol=1e-11)


def sampled(boundary, points, dimensions):
    """A smooth function that obeys the boundary condition, its Laplacian and its derivative along axis 0."""
    spacing = 1 / (points + 1) if boundary == "dirichlet" else 1 / points
    x = spacing * (np.arange(points) + (boundary == "dirichlet"))
    grids = np.meshgrid(*[x] * dimensions, indexing="ij")
    wave = 2 * np.pi
    u = np.prod([np.sin(wave * g) for g in grids], axis=0)
    slope = wave * np.cos(wave * grids[0]) * np.prod([np.sin(wave * g) for g in grids[1:]], axis=0)
    return spacing, u, -dimensions * wave**2 * u, slope


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_laplacian_converges_at_second_order(boundary, dimensions, x64):
    errors = []
    sizes = [16, 32] if dimensions == 3 else [32, 64]
    for points in sizes:
        spacing, u, exact, _ = sampled(boundary, points, dimensions)
        operator = laplacian(u.shape, dimensions, spacing, boundary)
        errors.append((spacing, np.abs(operator.mv(jnp.asarray(u)) - exact).max()))
    order = np.log(errors[0][1] / errors[1][1]) / np.log(errors[0][0] / errors[1][0])
    assert order == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("difference", [forward_difference, backward_difference])
def test_one_sided_differences_converge_at_first_order(difference, x64):
    errors = []
    for points in (64, 128):
        spacing, u, _, slope = sampled("periodic", points, 2)
        errors.append(np.abs(difference(u.shape, 2, spacing, "periodic").mv(jnp.asarray(u)) - slope).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.02)


def test_stencil_algebra_is_matrix_algebra(x64):
    a, b, field = convection(6, random(0, 6)), laplacian((6,), 1, 0.5, "periodic"), random(2, 6)
    np.testing.assert_allclose((a + b).as_dense(), a.as_dense() + b.as_dense(), atol=1e-14)
    np.testing.assert_allclose((a - b).as_dense(), a.as_dense() - b.as_dense(), atol=1e-14)
    np.testing.assert_allclose((2.5 * b).as_dense(), 2.5 * b.as_dense(), atol=1e-14)
    np.testing.assert_allclose((field * a).as_dense(), field[:, None] * a.as_dense(), atol=1e-14)
    assert (2.5 * b).symmetric
    assert not (field * b).symmetric
    assert not (a + b).symmetric


def test_stencils_on_different_grids_do_not_add():
    with pytest.raises(ValueError, match=r"\(4,\).*\(5,\)"):
        identity((4,), 1, "periodic") + identity((5,), 1, "periodic")


def test_an_unknown_boundary_is_named():
    with pytest.raises(ValueError, match="boundary='neumann': allowed are dirichlet, periodic"):
        laplacian((4,), 1, 1.0, "neumann")


@pytest.mark.parametrize(
    ("make", "symmetric"),
    [
        (lambda m: lineax.MatrixLinearOperator(m), False),
        (lambda m: lineax.MatrixLinearOperator(m + m.T, lineax.symmetric_tag), True),
        (lambda m: lineax.DiagonalLinearOperator(jnp.diagonal(m)), True),
        (
            lambda m: lineax.FunctionLinearOperator(
                lambda v: m @ v + 0.5 * v[::-1], jax.ShapeDtypeStruct((5,), jnp.float64)
            ),
            False,
        ),
    ],
)
def test_lineax_operators_keep_their_matrix_transpose_and_symmetry(make, symmetric, x64):
    theirs = make(random(0, 5, 5) + 6 * jnp.eye(5))
    ours = from_lineax(theirs)
    np.testing.assert_allclose(ours.as_dense(), theirs.as_matrix(), atol=1e-14)
    np.testing.assert_allclose(ours.transpose().as_dense(), theirs.as_matrix().T, atol=1e-14)
    np.testing.assert_allclose(ours.diagonal(), jnp.diagonal(theirs.as_matrix()), atol=1e-14)
    assert ours.symmetric == symmetric
    assert hash(jax.tree.structure(ours)) == hash(jax.tree.structure(from_lineax(theirs)))


def test_a_rectangular_lineax_operator_is_refused():
    with pytest.raises(ValueError, match="same shape"):
        from_lineax(lineax.MatrixLinearOperator(jnp.ones((2, 3))))


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-3, 1.0, 3e7, 5e37])
def test_the_scale_is_a_power_of_two_that_normalises(size):
    u = jnp.asarray([[size, -size / 3], [0.0, 0.0], [jnp.nan, 1.0]], jnp.float32)
    scale = power_of_two_scale(u, 1)
    mantissa, _ = np.frexp(np.asarray(scale))
    np.testing.assert_array_equal(mantissa, 0.5)
    np.testing.assert_array_equal(scale[1:], 1)
    if size > 1e-37:
        assert 0.5 <= float(jnp.max(jnp.abs(u[0] * scale[0]))) <= 1


def test_dense_products_are_exact_in_float32():
    # TF32 would lose 13 bits here.
    matrix = jnp.asarray(np.random.default_rng(0).standard_normal((64, 64)), jnp.float32)
    u = jnp.asarray(np.random.default_rng(1).standard_normal((4, 64)), jnp.float32)
    exact = np.asarray(u, np.float64) @ np.asarray(matrix, np.float64).T
    np.testing.assert_allclose(Dense(matrix, (64,)).mv(u), exact, atol=2e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_sparse_matrix_of_a_stencil_is_its_dense_one(name, x64):
    operator = OPERATORS[name]()
    if not isinstance(operator, Stencil | CoupledStencil):
        pytest.skip("not a stencil")
    if isinstance(operator, CoupledStencil):
        # One sample, and no pins: they are dense.
        one = tuple(c[0] if jnp.ndim(c) > len(operator.grid) else c for c in operator.coefficients)
        operator = CoupledStencil(one, operator.terms, operator.shape, operator.boundary)
    np.testing.assert_allclose(as_sparse(operator).toarray(), operator.as_dense(), rtol=1e-14, atol=1e-15)
