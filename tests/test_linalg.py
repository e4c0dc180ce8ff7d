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
    laplacian,
    power_of_two_scale,
)
from tests.cases import OPERATORS, convection, random, some_fast

operators = pytest.mark.parametrize("name", OPERATORS)
EPS = np.finfo(np.float64).eps


def batch_of(operator, key=0, batch=3):
    return random(key, batch, *operator.shape)


@jax.jit
def seen(a, u, v):
    """All that an operator says of itself; that it enters here shows that it is a pytree."""
    return {
        "matrix": a.as_dense(),
        "product": a.mv(u),
        "transpose": a.transpose().as_dense(),
        "transposed_product": a.transpose().mv(v),
        "twice_transposed": a.transpose().transpose().as_dense(),
        "pulled": jax.vjp(a.mv, u)[1](v)[0],
        "diagonal": a.diagonal(),
        "row_sum_bound": a.row_sum_bound(),
    }


@operators
def test_an_operator_is_its_matrix(name, x64):
    operator = OPERATORS[name]()
    u, v = (np.asarray(batch_of(operator, key)) for key in (0, 1))
    found = jax.device_get(seen(operator, u, v))
    matrix, transposed = found["matrix"], np.swapaxes(found["matrix"], -1, -2)
    product = np.einsum("...ij,...j->...i", matrix, u.reshape(3, -1)).reshape(u.shape)
    np.testing.assert_allclose(found["product"], product, atol=50 * EPS * np.abs(product).max())
    # Outside a jitted function too.
    np.testing.assert_allclose(operator.mv(jnp.asarray(u)), found["product"], rtol=1e-13, atol=1e-13)
    # The transpose is the adjoint, and the VJP is the product with it.
    np.testing.assert_array_equal(found["transpose"], transposed)
    np.testing.assert_array_equal(found["twice_transposed"], matrix)
    left, right = ((x * y).reshape(3, -1).sum(1) for x, y in ((found["product"], v), (u, found["pulled"])))
    np.testing.assert_allclose(left, right, rtol=1e-12)
    np.testing.assert_allclose(found["pulled"], found["transposed_product"], rtol=1e-12, atol=1e-12)
    # Diagonal and row sums.
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    field = np.broadcast_to(found["diagonal"], (*matrix.shape[:-2], *operator.shape))
    np.testing.assert_array_equal(field.reshape(diagonal.shape), diagonal)
    assert found["row_sum_bound"] >= np.max(np.sum(np.abs(matrix), -1)) * (1 - EPS)
    # Declared symmetry is true.
    if operator.symmetric:
        np.testing.assert_array_equal(matrix, transposed)
    else:
        assert np.abs(matrix - transposed).max() > 1e-3


@pytest.mark.parametrize(
    ("points", "boundary"),
    some_fast(
        itertools.product([1, 2, 3, 5], BOUNDARIES),
        [(1, "periodic"), (2, "periodic"), (3, "periodic"), (1, "dirichlet"), (3, "dirichlet")],
    ),
)
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


image = jax.jit(lambda operator, u: operator.mv(u))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_laplacian_converges_at_second_order(boundary, dimensions, x64):
    errors = []
    sizes = [16, 32] if dimensions == 3 else [32, 64]
    for points in sizes:
        spacing, u, exact, _ = sampled(boundary, points, dimensions)
        operator = laplacian(u.shape, dimensions, spacing, boundary)
        errors.append((spacing, np.abs(np.asarray(image(operator, u)) - exact).max()))
    order = np.log(errors[0][1] / errors[1][1]) / np.log(errors[0][0] / errors[1][0])
    assert order == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("difference", [forward_difference, backward_difference])
def test_one_sided_differences_converge_at_first_order(difference, x64):
    errors = []
    for points in (64, 128):
        spacing, u, _, slope = sampled("periodic", points, 2)
        found = np.asarray(image(difference(u.shape, 2, spacing, "periodic"), u))
        errors.append(np.abs(found - slope).max())
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


@operators
def test_the_sparse_matrix_of_a_stencil_is_its_dense_one(name, x64):
    operator = OPERATORS[name]()
    if not isinstance(operator, Stencil | CoupledStencil):
        pytest.skip("not a stencil")
    if isinstance(operator, CoupledStencil):
        # One sample, and no pins: they are dense.
        one = tuple(c[0] if jnp.ndim(c) > len(operator.grid) else c for c in operator.coefficients)
        operator = CoupledStencil(one, operator.terms, operator.shape, operator.boundary)
    np.testing.assert_allclose(as_sparse(operator).toarray(), operator.as_dense(), rtol=1e-14, atol=1e-15)
