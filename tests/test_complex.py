"""Complex systems, in their real form, against dense complex algebra."""

import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest
import scipy.sparse
from jax.experimental.sparse import BCOO

import prdp
from tests.cases import random, spd_matrix

N = 6
_NOISE = np.asarray(random(5, N, N), float)
GENERAL = np.asarray(spd_matrix(N), float) + 0.3j * _NOISE
HERMITIAN = np.asarray(spd_matrix(N), float) + 0.1j * (_NOISE - _NOISE.T)
RHS = np.arange(1.0, N + 1) - 1j * np.asarray(random(6, N), float)
EXACT = np.linalg.solve(GENERAL, RHS)

INPUTS = {
    "numpy": lambda m: m,
    "jax": jnp.asarray,
    "csr": scipy.sparse.csr_array,
    # Unused entries have indices beyond the matrix.
    "bcoo": lambda m: BCOO.fromdense(jnp.asarray(m), nse=40),
    "lineax": lambda m: lineax.MatrixLinearOperator(jnp.asarray(m)),
    "function": lambda m: lambda u: jnp.asarray(m) @ u,
}


def solve(a, b, **options):
    return prdp.solve(a, b, **{"solver": prdp.GMRES(2 * N), "tolerance": 1e-12, "iterations": 50} | options)


@pytest.mark.fast("numpy", "csr", "function")
@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_is_the_same_system(kind, x64):
    for rhs in (RHS, RHS.real):
        solution = solve(INPUTS[kind](GENERAL), rhs)
        np.testing.assert_allclose(solution.value, np.linalg.solve(GENERAL, rhs), rtol=1e-10)
        residual = np.linalg.norm(rhs - GENERAL @ np.asarray(solution.value)) / np.linalg.norm(rhs)
        np.testing.assert_allclose(solution.residual_norm, residual, atol=1e-14)
        assert prdp.Status(int(solution.status)) is prdp.Status.CONVERGED


@pytest.mark.parametrize("kind", ["jax", "csr", "function"])
def test_a_complex_right_hand_side_of_a_real_matrix(kind, x64):
    solution = solve(INPUTS[kind](GENERAL.real), RHS)
    np.testing.assert_allclose(solution.value, np.linalg.solve(GENERAL.real, RHS), rtol=1e-10)


def test_conjugate_gradient_takes_hermitian_matrices(x64):
    options = {"solver": prdp.ConjugateGradient(), "symmetric": True, "iterations": 100}
    tagged = lineax.MatrixLinearOperator(jnp.asarray(HERMITIAN), lineax.positive_semidefinite_tag)
    for a in (HERMITIAN, scipy.sparse.csr_array(HERMITIAN), lambda u: HERMITIAN @ u, tagged):
        chosen = options | ({"symmetric": None} if a is tagged else {})
        solution = solve(a, RHS, **chosen)
        np.testing.assert_allclose(solution.value, np.linalg.solve(HERMITIAN, RHS), rtol=1e-10)
        # CG of the complex system takes at most N iterations.
        assert int(solution.iterations) <= N + 2


@pytest.mark.parametrize("kind", ["jax", "function"])
@pytest.mark.parametrize("mode", [prdp.Implicit(), prdp.Unrolled(50)], ids=["implicit", "unrolled"])
def test_gradients_are_those_of_complex_algebra(kind, mode, x64):
    def loss(u):
        return jnp.sum(jnp.abs(u) ** 2) + jnp.real(u[0]) * jnp.imag(u[1])

    def ours(m, b):
        solver = prdp.Richardson(0.08)
        return loss(solve(INPUTS[kind](m), b, solver=solver, differentiation=mode, iterations=50).value)

    found = jax.grad(ours, (0, 1))(GENERAL, RHS)
    exact = jax.grad(lambda m, b: loss(jnp.linalg.solve(m, b)), (0, 1))(GENERAL, RHS)
    for ours_, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours_, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.fast("forward")
@pytest.mark.parametrize("order", ["forward", "second"])
def test_forward_mode_and_second_derivatives(order, x64):
    def ours(t):
        return jnp.real(solve(GENERAL * t, RHS).value[0])

    # The solution is `EXACT / t`.
    if order == "forward":
        np.testing.assert_allclose(jax.jvp(ours, (2.0,), (1.0,))[1], -EXACT[0].real / 4, rtol=1e-9)
    else:
        np.testing.assert_allclose(jax.hessian(ours)(2.0), 2 * EXACT[0].real / 8, rtol=1e-8)


def test_unknowns_are_pytrees_and_may_mix_real_and_complex_numbers(x64):
    def function(tree):
        out = GENERAL @ jnp.concatenate([tree["first"], tree["rest"].ravel()])
        return {"first": out[:2], "rest": out[2:].reshape(2, 2)}

    rhs = {"first": RHS.real[:2], "rest": RHS[2:].reshape(2, 2)}
    value = solve(function, rhs).value
    whole = np.concatenate([RHS.real[:2], RHS[2:]])
    found = np.concatenate([value["first"], np.ravel(value["rest"])])
    np.testing.assert_allclose(found, np.linalg.solve(GENERAL, whole), rtol=1e-10)


def test_a_batch_of_matrices_and_of_right_hand_sides(x64):
    matrices = np.stack([GENERAL, HERMITIAN])
    rhs = np.stack([RHS, 2j * RHS])
    expected = np.stack([np.linalg.solve(m, b) for m, b in zip(matrices, rhs, strict=True)])
    np.testing.assert_allclose(solve(matrices, rhs, guess=0.1 * rhs).value, expected, rtol=1e-10)


@pytest.mark.slow
def test_a_transpose_that_is_given(x64):
    @jax.custom_vjp
    def product(u):
        return GENERAL @ u

    product.defvjp(lambda u: (product(u), None), lambda _, c: (GENERAL.T @ c,))

    def loss(b):
        return jnp.sum(jnp.abs(solve(product, b, transpose=lambda u: GENERAL.T @ u).value) ** 2)

    exact = jax.grad(lambda b: jnp.sum(jnp.abs(jnp.linalg.solve(GENERAL, b)) ** 2))(RHS)
    np.testing.assert_allclose(jax.grad(loss)(RHS), exact, rtol=1e-9)


def test_the_precision_is_the_highest_given():
    assert solve(GENERAL.astype(np.complex64), RHS, tolerance=1e-5).value.dtype == jnp.complex64


@pytest.mark.slow
def test_the_error_of_a_gradient(x64):
    error = prdp.gradient_error(GENERAL, RHS, iterations=[1, 50], solver=prdp.GMRES(2 * N))
    assert float(error.rhs.error[1]) < 1e-10


@pytest.mark.parametrize(
    ("told", "arguments", "options"),
    [
        ("adjoint_guess: allowed for real systems", (GENERAL, RHS), {"adjoint_guess": RHS}),
        ("null_space: allowed for real systems", (GENERAL, RHS), {"null_space": "constant"}),
        ("needs a symmetric operator", (HERMITIAN, RHS), {"solver": prdp.ConjugateGradient()}),
        (r"rhs has shape \(5,\); it must end in the operator's shape \(6,\)", (GENERAL, RHS[:5]), {}),
        ("guess has type complex", (GENERAL.real, RHS.real), {"guess": RHS}),
        ("give a complex system as a matrix or a function", (prdp.Dense(GENERAL, (N,)), RHS.real), {}),
    ],
)
def test_what_is_not_defined_is_refused(told, arguments, options):
    with pytest.raises(ValueError, match=told):
        solve(*arguments, **options)
