"""What `solve` is given is normalised once or refused in one line, and works under JAX's own checks."""

import itertools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import Status
from tests.cases import SOLVERS, random, some_fast, spd_matrix


def heat(points=9, strength=0.03):
    """A well-conditioned operator on fields without a channel."""
    eye = prdp.identity((points,), 1, "dirichlet")
    return eye - strength * prdp.laplacian((points,), 1, 0.3, "dirichlet")


def refused(message, *args, **kwargs):
    with pytest.raises((ValueError, TypeError), match=message) as refusal:
        prdp.solve(*args, **kwargs)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("iterations", [7.5, 7.0, np.inf, True, "3", 0, -1, 10**12, np.array([3, 4]), 1j])
@pytest.mark.parametrize("mode", [prdp.Implicit(), prdp.Unrolled()])
def test_k_is_one_integer(iterations, mode):
    a, rhs = heat(), jnp.ones(9)
    refused("iterations=.*allowed is an integer >= 1", a, rhs, iterations=iterations, differentiation=mode)


@pytest.mark.parametrize("iterations", [4, np.int64(4), np.int8(4), jnp.int32(4), np.array(4)])
def test_integers_of_all_kinds_are_k(iterations):
    a = heat(strength=0.5)
    assert int(prdp.solve(a, jnp.ones(9), iterations=iterations, tolerance=0.0).iterations) == 4


@pytest.mark.parametrize("tolerance", [np.nan, np.inf, -1, None, 1j, "x", True, np.array([1e-3, 1e-4])])
def test_the_tolerance_is_one_number(tolerance):
    a, rhs = heat(), jnp.ones(9)
    refused("tolerance=.*allowed is a finite number >= 0", a, rhs, iterations=3, tolerance=tolerance)


def test_other_numbers_than_real_ones_are_refused():
    a, rhs = prdp.Dense(jnp.asarray(spd_matrix(6)), (6,), True), jnp.ones(6)
    refused("rhs has type complex64", a, rhs * 1j, iterations=3)
    refused("the operator is complex", prdp.Dense(a.matrix * (1 + 1j), (6,)), rhs, iterations=3)
    refused("rhs=None", a, None, iterations=3)
    refused("guess has type complex64", a, rhs, iterations=3, guess=rhs * 1j)
    refused("guess has shape", a, rhs, iterations=3, guess=jnp.ones(4))
    for half in (jnp.float16, jnp.bfloat16):
        refused("allowed are float32 and float64", a.astype(half), rhs.astype(half), iterations=3)
    refused("operator is a .*allowed is a .*prdp.Operator", [[1.0]], rhs, iterations=3)


@pytest.mark.fast("gmres_3", "jacobi")
@pytest.mark.parametrize(
    "solver",
    some_fast(SOLVERS, ["jacobi", "richardson", "heavy_ball", "gmres_3_diagonal", "direct", "direct_dense"]),
)
def test_python_numbers_are_parameters_too(solver):
    a = prdp.Stencil((3, -0.5, -0.5), ((0,), (1,), (-1,)), (9,), "dirichlet", True)
    function = prdp.FunctionOperator(
        2.0, lambda p, u: p * u + 0.1 * (jnp.roll(u, 1) + jnp.roll(u, -1)), (9,), True
    )
    for operator in (a, function):
        solution = prdp.solve(operator, np.arange(1, 10), solver=SOLVERS[solver].solver, iterations=200)
        assert int(solution.status) == Status.CONVERGED
        assert solution.value.dtype == jnp.float32


@pytest.mark.fast("gmres_3_diagonal", "jacobi")
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_higher_precision_is_that_of_the_solve(solver, x64):
    # A right-hand side in float32 raised an error of the loop's carry: the library's own coefficients are float64 here.
    a = heat()
    for rhs, operator, kind in (
        (jnp.ones(9, jnp.float32), a, jnp.float64),
        (jnp.ones(9, jnp.float32), a.astype(jnp.float32), jnp.float32),
        (jnp.ones(9), a.astype(jnp.float32), jnp.float64),
    ):
        total = lambda a, b: jnp.sum(  # noqa: E731
            prdp.solve(a, b, solver=SOLVERS[solver].solver, iterations=60).value
        )
        # That is decided when it is traced.
        value, gradient = jax.eval_shape(jax.value_and_grad(total, 1), operator, rhs)
        assert value.dtype in (kind, jnp.float32)
        assert gradient.dtype == rhs.dtype


@pytest.mark.parametrize(
    "mode", [prdp.Implicit(), prdp.Unrolled(4), prdp.Checkpointed(4), prdp.Truncated(2), prdp.JFB()]
)
def test_empty_batches_have_values_and_gradients(mode):
    a, rhs = heat(), jnp.zeros((0, 9))
    solve = lambda b: jnp.sum(prdp.solve(a, b, differentiation=mode, iterations=4).value)  # noqa: E731
    value, gradient = jax.jit(jax.value_and_grad(solve))(rhs)
    assert float(value) == 0
    assert gradient.shape == (0, 9)


def test_operators_are_multiplied_by_numbers_from_both_sides():
    a = heat()
    field, u = np.arange(1.0, 10.0), jnp.asarray(random(0, 9), jnp.float32)
    operators = [a, prdp.Dense(a.as_dense(), (9,)), prdp.FunctionOperator(2.0, lambda p, u: p * u, (9,))]
    for operator in operators:
        image = operator.mv(u)
        for scaled, factor in ((2 * operator, 2), (operator * 2.0, 2), (-operator, -1), (operator / 4, 0.25)):
            np.testing.assert_allclose(scaled.mv(u), factor * image, rtol=1e-6)
            np.testing.assert_allclose(scaled.diagonal(), factor * operator.diagonal(), rtol=1e-6)
    # Not an array of nine stencils.
    scaled = field * a
    assert isinstance(scaled, prdp.Stencil)
    np.testing.assert_allclose(scaled.mv(u), field * np.asarray(a.mv(u)), rtol=1e-6)
    with pytest.raises(TypeError, match="by real numbers on this side"):
        a * field
    with pytest.raises(TypeError, match="by real numbers on this side"):
        a / field


def of_each_kind():
    """A heat equation, one with a wind, and the latter's matrix."""
    field = jnp.ones((9,), jnp.float32)
    eye = prdp.identity((9,), 1, "dirichlet")
    diffusion = eye - 0.01 * prdp.laplacian((9,), 1, 0.1, "dirichlet")
    wind = diffusion + field * prdp.forward_difference((9,), 1, 10.0, "dirichlet")
    return {"heat": diffusion, "wind": wind, "dense": prdp.Dense(wind.as_dense().astype(jnp.float32), (9,))}


@pytest.mark.fast("heat-")
@pytest.mark.parametrize(
    ("kind", "solver", "mode"),
    some_fast(
        itertools.product(
            ["heat", "wind", "dense"],
            [prdp.Jacobi(), prdp.BiCGStab(), prdp.GMRES(2), prdp.Direct()],
            [prdp.Implicit(), prdp.Unrolled(4)],
        ),
        [
            ("heat", prdp.BiCGStab(), prdp.Implicit()),
            ("wind", prdp.GMRES(2), prdp.Unrolled(4)),
            ("dense", prdp.Jacobi(), prdp.Implicit()),
        ],
    ),
)
def test_jaxs_own_checks_pass(kind, solver, mode):
    rhs = jnp.asarray(random(0, 3, 9), jnp.float32)

    def loss(a, b, stats):
        options = {"solver": solver, "differentiation": mode, "iterations": 4, "adjoint_stats": stats}
        return jnp.sum(prdp.solve(a, b, **options).value ** 2)

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        a = of_each_kind()[kind]
        a.mv(rhs), a.transpose().mv(rhs), a.diagonal(), a.row_sum_bound(), -a, a / 2
        # Not jitted: the check for NaN sees what enters and leaves each program.
        jax.block_until_ready(jax.grad(loss, (0, 1, 2))(a.astype(jnp.float32), rhs, prdp.AdjointStats.zero()))


def test_jaxs_check_for_nan_sees_a_failed_solve():
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        prdp.solve(heat(), jnp.ones(9).at[3].set(jnp.nan), iterations=4)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, prdp
from jax.sharding import PartitionSpec as P
assert len(jax.devices()) == 2
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
a = prdp.identity((9,), 1, "dirichlet") - 0.01 * prdp.laplacian((9,), 1, 0.1, "dirichlet")
rhs = jnp.asarray(np.random.default_rng(0).standard_normal((4, 9)), jnp.float32)
for solver, mode in (CASES):
    def loss(a, b):
        return jnp.sum(prdp.solve(a, b, solver=solver, differentiation=mode, iterations=2).value ** 2)
    def sharded(a, b):
        value, gradient = jax.value_and_grad(loss, (0, 1))(a, b)
        return jax.lax.psum(value, "x"), gradient
    specs = {"in_specs": (P(), P("x")), "out_specs": (P(), (P(), P("x")))}
    ours = jax.jit(jax.shard_map(sharded, mesh=mesh, **specs))(a, rhs)
    whole = jax.jit(jax.value_and_grad(loss, (0, 1)))(a, rhs)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), ours, whole)
print("all done")
"""
SHARDED_CASES = [
    f"(prdp.{solver}, prdp.{mode})"
    for solver, mode in itertools.product(
        ("Jacobi()", "ConjugateGradient()", "GMRES(2)", "LBFGS()"), ("Implicit()", "Unrolled(3)")
    )
]


@pytest.mark.slow
@pytest.mark.parametrize("cases", ["every_pair", "of_each_one"])
def test_batches_that_are_sharded_over_devices_have_the_same_gradients(cases):
    # The number of devices is chosen when JAX starts.
    chosen = SHARDED_CASES if cases == "every_pair" else [SHARDED_CASES[i] for i in (1, 2, 4)]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    ended = subprocess.run(
        [sys.executable, "-c", SHARDED.replace("CASES", ", ".join(chosen))],
        env={**os.environ, "XLA_FLAGS": flags.strip()},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.stdout == "all done\n", ended.stderr[-2000:]
