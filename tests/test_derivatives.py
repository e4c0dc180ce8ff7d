"""Forward mode and higher derivatives: every solver and mode against dense algebra, in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import AdjointStats
from tests.cases import SOLVERS, convection, heat, random, some_fast
from tests.test_true_gradients import MODES


def problem(solver):
    """A map from parameters to an operator, and parameters, right-hand sides and a direction of each."""
    if SOLVERS[solver].non_symmetric:
        return lambda w: convection(7, w), (random(1, 7), random(2, 2, 7)), (random(3, 7), random(4, 2, 7))
    operator_of = lambda c: heat((1, 7), "dirichlet", c)  # noqa: E731
    return operator_of, (jnp.asarray(0.05), random(2, 2, 1, 7)), (jnp.asarray(0.7), random(4, 2, 1, 7))


def solved(solver, mode=prdp.Implicit(), iterations=4000, tolerance=1e-13):
    operator_of, *_ = problem(solver)

    def value(parameters, rhs):
        options = {"differentiation": mode, "iterations": iterations, "tolerance": tolerance}
        return prdp.solve(operator_of(parameters), rhs, solver=SOLVERS[solver].solver, **options).value

    return value


def dense(solver):
    operator_of, *_ = problem(solver)

    def value(parameters, rhs):
        matrix = operator_of(parameters).as_dense()
        return jnp.linalg.solve(matrix, rhs.reshape(len(rhs), -1).T).T.reshape(rhs.shape)

    return value


def close(ours, exact, rtol=1e-9):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, atol=rtol * np.abs(b).max())


def loss_of(value):
    return lambda parameters, rhs: jnp.sum(jnp.sin(1.3 * value(parameters, rhs)))


def curvature(value, at, direction):
    """The gradient of a directional derivative: reverse over reverse."""

    def slope(*at):
        gradient = jax.grad(loss_of(value), (0, 1))(*at)
        return sum(jnp.sum(g * d) for g, d in zip(gradient, direction, strict=True))

    return jax.grad(slope, (0, 1))(*at)


DERIVATIVES = {
    "jvp": lambda value, at, d: jax.jvp(value, at, d),
    "jacfwd": lambda value, at, d: jax.jacfwd(value)(*at),
    "linearize": lambda value, at, d: jax.linearize(value, *at)[1](*d),
    "grad_of_grad": curvature,
    "hessian": lambda value, at, d: jax.hessian(loss_of(value), (0, 1))(*at),
    "forward_over_forward": lambda value, at, d: jax.jacfwd(jax.jacfwd(loss_of(value)))(*at),
    "reverse_over_forward": lambda value, at, d: jax.grad(
        lambda *x: jax.jvp(loss_of(value), x, d)[1], (0, 1)
    )(*at),
}


@pytest.mark.fast("jacobi-hessian")
@pytest.mark.parametrize(
    ("solver", "derivative"),
    some_fast(
        itertools.product(SOLVERS, DERIVATIVES),
        [
            ("conjugate_gradient", "jvp"),
            ("jacobi", "grad_of_grad"),
            ("jacobi", "hessian"),
        ],
    ),
)
def test_derivatives_through_implicit_equal_those_of_dense_algebra(solver, derivative, x64):
    _, at, direction = problem(solver)
    derive = jax.jit(DERIVATIVES[derivative], static_argnums=0)
    close(derive(solved(solver), at, direction), derive(dense(solver), at, direction), 1e-8)


@pytest.mark.slow
def test_third_derivatives_too(x64):
    def third(value):
        return jax.jit(jax.grad(jax.grad(jax.grad(lambda c, b: loss_of(value)(c, b)))))

    _, at, _ = problem("conjugate_gradient")
    close(third(solved("conjugate_gradient"))(*at), third(dense("conjugate_gradient"))(*at))


PAIRS = [
    *((mode, "jacobi") for mode in MODES if mode != "reduced_cg"),
    *((mode, "conjugate_gradient") for mode in ("unrolled", "checkpointed", "truncated", "one_step")),
    *((mode, "gmres_3") for mode in ("unrolled", "truncated")),
    ("unrolled", "lbfgs"),
    ("unrolled", "gmres_3_diagonal"),
    ("unrolled", "direct"),
]


@pytest.mark.parametrize(
    ("mode", "solver"),
    some_fast(
        PAIRS, [("unrolled", "jacobi"), ("truncated", "jacobi"), ("jfb", "jacobi"), ("phantom", "jacobi")]
    ),
)
def test_forward_mode_is_the_transpose_of_reverse_mode(mode, solver, x64):
    # Three iterations, far from converged: both must be derivatives of the same map.
    _, at, direction = problem(solver)
    value, cotangent = solved(solver, MODES[mode], 3, 0.0), random(5, *at[1].shape)
    forward = jax.jit(lambda at, d: jnp.vdot(jax.jvp(value, at, d)[1], cotangent))(at, direction)
    pulled = jax.jit(lambda at: jax.vjp(value, *at)[1](cotangent))(at)
    backward = sum(jnp.vdot(g, d) for g, d in zip(pulled, direction, strict=True))
    # The default step of the Neumann series depends on row sums, which differ for A and its transpose.
    np.testing.assert_allclose(forward, backward, rtol=0.1 if mode == "neumann" else 1e-9)
    assert abs(forward) > 1e-3


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"implicit"}))
def test_second_derivatives_that_are_not_defined_are_refused_by_name(mode):
    # JFB's used to be silently 60 % off.
    value = solved("conjugate_gradient" if mode == "reduced_cg" else "jacobi", MODES[mode], 3)
    _, at, _ = problem("conjugate_gradient" if mode == "reduced_cg" else "jacobi")
    total = lambda b: jnp.sum(value(at[0], b) ** 2)  # noqa: E731
    for second in (
        jax.hessian(total),
        jax.jacfwd(jax.jacfwd(total)),
        jax.grad(lambda b: jnp.sum(jax.grad(total)(b))),
    ):
        with pytest.raises(
            ValueError, match=f"{type(MODES[mode]).__name__} has no second derivative"
        ) as refusal:
            jax.eval_shape(second, at[1])
        assert "\n" not in str(refusal.value)


def test_forward_mode_keeps_k_traced_and_stats_come_with_gradients_of_gradients(x64):
    a, b, d = heat((1, 9), "dirichlet", 0.3), random(0, 2, 1, 9), random(1, 2, 1, 9)
    traces = []

    @jax.jit
    def tangent(k):
        traces.append(1)
        return jax.jvp(lambda b: prdp.solve(a, b, iterations=k, tolerance=0.0).value, (b,), (d,))[1]

    for k in (1, 4, 9):
        np.testing.assert_allclose(
            tangent(k), prdp.solve(a, d, iterations=k, tolerance=0.0).value, rtol=1e-12
        )
    assert len(traces) == 1

    @jax.jit
    @jax.grad
    def outer(b, stats):
        gradient, spent = jax.grad(
            lambda b, s: jnp.sum(prdp.solve(a, b, iterations=5, tolerance=0.0, adjoint_stats=s).value ** 3),
            (0, 1),
        )(b, stats)
        return jnp.sum(gradient**2) + 0 * spent.iterations

    assert np.isfinite(outer(b, AdjointStats.zero())).all()


@pytest.mark.parametrize("mode", some_fast(["implicit", "unrolled", "jfb"], ["unrolled"]))
def test_failed_systems_are_nan_only_where_their_inputs_move(mode):
    a, rhs = heat((1, 9), "dirichlet"), jnp.ones((2, 1, 9)).at[1, 0, 3].set(jnp.nan)
    value = lambda b: prdp.solve(a, b, differentiation=MODES[mode], iterations=8).value  # noqa: E731
    derive = jax.jit(lambda d: jax.jvp(value, (rhs,), (d,))[1])
    moved = derive(jnp.ones_like(rhs))
    assert np.isfinite(moved[0]).all()
    assert np.isnan(moved[1]).all()
    np.testing.assert_array_equal(derive(jnp.ones_like(rhs).at[1].set(0.0))[1], 0)
