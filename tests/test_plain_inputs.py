"""`prdp.solve` takes matrices, functions, pytrees and the operators of other libraries; all are the same system."""

import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest
import scipy.sparse
from jax.experimental.sparse import BCOO

import prdp
from prdp.linear_solve.entry import _run
from tests.cases import random, some_fast, spd_matrix

MATRIX = np.asarray(spd_matrix(6), float) + np.triu(np.asarray(random(3, 6, 6), float))
RHS = np.arange(1.0, 7.0)
SOLVER = prdp.Jacobi()

INPUTS = {
    "numpy": lambda m: np.asarray(m),
    "jax": jnp.asarray,
    "csr": scipy.sparse.csr_matrix,
    "csc_array": scipy.sparse.csc_array,
    "bcoo": lambda m: BCOO.fromdense(jnp.asarray(m), nse=40),
    "lineax": lambda m: lineax.MatrixLinearOperator(jnp.asarray(m)),
    "lineax_function": lambda m: lineax.FunctionLinearOperator(
        lambda u: jnp.asarray(m) @ u, jax.ShapeDtypeStruct((6,), jnp.result_type(float))
    ),
    "function": lambda m: lambda u: jnp.asarray(m) @ u,
    "operator": lambda m: prdp.Dense(jnp.asarray(m), (6,)),
}


def solve(a, b, **options):
    return prdp.solve(a, b, **{"solver": SOLVER, "tolerance": 1e-12} | options)


@pytest.mark.parametrize("kind", some_fast(INPUTS, ["numpy", "jax", "csr", "bcoo", "lineax", "function"]))
def test_every_kind_of_input_is_the_same_system(kind, x64):
    solution = solve(INPUTS[kind](MATRIX), RHS)
    np.testing.assert_allclose(solution.value, np.linalg.solve(MATRIX, RHS), rtol=1e-10)
    assert prdp.Status(int(solution.status)) is prdp.Status.CONVERGED


TRACED = {
    "jax": lambda m: m,
    "bcoo": lambda m: BCOO((m.ravel(), jnp.stack(jnp.divmod(jnp.arange(36), 6), -1)), shape=(6, 6)),
    "lineax": lineax.MatrixLinearOperator,
    "closure": lambda m: lambda u: m @ u,
    "closure_of_an_operator": lambda m: prdp.FunctionOperator((), lambda p, u: m @ u, (6,)),
}


@pytest.mark.parametrize("kind", some_fast(TRACED, ["jax", "closure"]))
def test_gradients_flow_into_every_input_and_into_closures(kind, x64):
    @jax.jit
    def gradient(m, b):
        return jax.grad(lambda m, b: jnp.sum(solve(TRACED[kind](m), b).value ** 2), (0, 1))(m, b)

    matrix_bar, rhs_bar = gradient(MATRIX, RHS)
    u = np.linalg.solve(MATRIX, RHS)
    multiplier = np.linalg.solve(MATRIX.T, 2 * u)
    np.testing.assert_allclose(rhs_bar, multiplier, rtol=1e-10)
    np.testing.assert_allclose(matrix_bar, -np.outer(multiplier, u), rtol=1e-8, atol=1e-14)


def split(v):
    return {"first": v[:2], "rest": (v[2:5].reshape(3, 1), v[5])}


def joined(tree):
    return jnp.concatenate([tree["first"], tree["rest"][0].ravel(), tree["rest"][1][None]])


def test_unknowns_are_pytrees(x64):
    function = lambda tree: split(MATRIX @ joined(tree))  # noqa: E731
    guess = split(np.full(6, 0.3))
    solution = solve(function, split(RHS), guess=guess)
    assert jax.tree.structure(solution.value) == jax.tree.structure(guess)
    np.testing.assert_allclose(joined(solution.value), np.linalg.solve(MATRIX, RHS), rtol=1e-10)

    def loss(scale):
        value = solve(lambda tree: split(scale * (MATRIX @ joined(tree))), split(RHS)).value
        return jnp.sum(value["first"]) + value["rest"][1]

    exact = -(np.linalg.solve(MATRIX, RHS)[[0, 1, 5]]).sum() / 4
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(2.0), exact, rtol=1e-10)
    with pytest.raises(ValueError, match="functions and guesses must match it"):
        solve(function, split(RHS), guess={"first": RHS[:2]})


@pytest.mark.slow
def test_a_lineax_operator_on_a_pytree(x64):
    shapes = jax.eval_shape(split, RHS)
    operator = lineax.FunctionLinearOperator(lambda tree: split(MATRIX @ joined(tree)), shapes)
    value = solve(operator, split(RHS)).value
    np.testing.assert_allclose(joined(value), np.linalg.solve(MATRIX, RHS), rtol=1e-10)


def test_a_function_that_jax_cannot_transpose(x64):
    @jax.custom_vjp
    def product(u):
        return MATRIX @ u

    product.defvjp(lambda u: (product(u), None), lambda _, c: (MATRIX.T @ c,))

    def loss(b):
        return jnp.sum(solve(product, b, transpose=lambda u: MATRIX.T @ u).value ** 2)

    u = np.linalg.solve(MATRIX, RHS)
    np.testing.assert_allclose(jax.grad(loss)(RHS), np.linalg.solve(MATRIX.T, 2 * u), rtol=1e-10)


@pytest.mark.slow
def test_a_batch_of_functions_is_a_vmap_and_a_batch_of_matrices_has_leading_axes(x64):
    b = random(4, 3, 6)
    expected = np.linalg.solve(MATRIX, np.asarray(b).T).T
    np.testing.assert_allclose(
        jax.vmap(lambda b: solve(lambda u: MATRIX @ u, b).value)(b), expected, rtol=1e-9
    )
    np.testing.assert_allclose(solve(MATRIX, b).value, expected, rtol=1e-9)
    stacked = jnp.stack([jnp.asarray(MATRIX)] * 3)
    np.testing.assert_allclose(solve(stacked, b).value, expected, rtol=1e-9)
    grid = b[:2].reshape(3, 4)
    value = solve(lambda u: 2 * u + 0.1 * jnp.roll(u, 1, 0), grid).value
    np.testing.assert_allclose(2 * value + 0.1 * np.roll(value, 1, 0), grid, rtol=1e-9)


def test_the_same_lambda_in_a_loop_compiles_once():
    shift = jnp.arange(6.0)
    before = _run._cache_size()
    for k in range(4):
        prdp.solve(lambda u: 3.0 * u + 0.1 * shift * jnp.roll(u, 1), RHS, iterations=k + 1)
    assert _run._cache_size() == before + 1
    prdp.solve(lambda u: 4.0 * u + 0.1 * shift * jnp.roll(u, 1), RHS, iterations=1)
    assert _run._cache_size() == before + 2


def test_a_function_sees_what_it_closes_over_now():
    scale = np.full(6, 2.0, np.float32)
    function = lambda u: scale * u  # noqa: E731
    assert float(prdp.solve(function, np.ones(6), iterations=3).value[0]) == 0.5
    scale[:] = 4.0
    assert float(prdp.solve(function, np.ones(6), iterations=3).value[0]) == 0.25


@pytest.mark.parametrize(
    ("error", "told", "arguments", "options"),
    [
        (TypeError, "operator is a list: allowed is a matrix .*BCOO.*function u -> A u", ([[1.0]], RHS), {}),
        (TypeError, "operator is a str", ("A", RHS), {}),
        (ValueError, r"the matrix has shape \(2, 3\)", (np.ones((2, 3)), RHS), {}),
        (ValueError, r"the matrix has shape \(2, 3\)", (scipy.sparse.csr_matrix(np.ones((2, 3))), RHS), {}),
        (ValueError, "n_batch=1", (BCOO.fromdense(jnp.ones((2, 3, 3)), n_batch=1), RHS), {}),
        (ValueError, "rhs has shape", (np.eye(3), RHS), {}),
        (
            ValueError,
            "transpose: allowed where the operator is a function",
            (np.eye(6), RHS),
            {"transpose": len},
        ),
        (ValueError, "transpose is a int", (lambda u: u, RHS), {"transpose": 3}),
        (ValueError, "a prdp.Operator has its own", (INPUTS["operator"](MATRIX), RHS), {"symmetric": True}),
        (ValueError, "needs a symmetric operator", (MATRIX, RHS), {"solver": prdp.ConjugateGradient()}),
        (ValueError, "functions and guesses must match it", (lambda u: u[:2], RHS), {}),
        (ValueError, "rhs has no array in it", (lambda u: u, ()), {}),
    ],
)
def test_anything_else_is_refused_in_one_line(error, told, arguments, options):
    with pytest.raises(error, match=told) as refusal:
        prdp.solve(*arguments, **options)
    assert "\n" not in str(refusal.value)
