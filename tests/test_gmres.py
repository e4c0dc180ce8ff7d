"""GMRES against a plain Python loop over its textbook form, and at its edges."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import prdp
from prdp import Status
from prdp.linalg import Dense, laplacian
from prdp.linalg.norms import expand, inner, norm
from prdp.solvers.arnoldi import arnoldi
from prdp.solvers.base import safe_divide
from prdp.solvers.gmres import GMRESState
from prdp.solvers.hessenberg import least_squares
from tests.cases import OPERATORS, convection, coupled, heat, random, some_fast


def _root(squared):
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)


def reference_cycle(restart, operator, rhs, value):
    """One cycle with Gram-Schmidt twice and Givens rotations, vector by vector: JAX differentiates all of it."""
    rank = operator.rank
    residual = rhs - operator.mv(value)
    beta = _root(inner(residual, residual, rank))
    one = jnp.ones_like(beta)
    basis, rotations, triangle, right = [residual * expand(safe_divide(one, beta), rank)], [], [], [beta]
    for _ in range(min(restart, operator.size)):
        w = operator.mv(basis[-1])
        h = [jnp.zeros_like(beta)] * len(basis)
        for _, (i, v) in itertools.product(range(2), enumerate(basis)):
            projection = inner(v, w, rank)
            w, h[i] = w - expand(projection, rank) * v, h[i] + projection
        length = _root(inner(w, w, rank))
        basis.append(w * expand(safe_divide(one, length), rank))
        h.append(length)
        for i, (c, s) in enumerate(rotations):
            h[i], h[i + 1] = c * h[i] + s * h[i + 1], c * h[i + 1] - s * h[i]
        radius = _root(h[-2] ** 2 + h[-1] ** 2)
        c, s = h[-2] / radius, h[-1] / radius
        rotations.append((c, s))
        triangle.append([*h[:-2], radius])
        right = [*right[:-1], c * right[-1], -s * right[-1]]
    y = [jnp.zeros_like(beta)] * len(triangle)
    for i in reversed(range(len(triangle))):
        total = right[i] - sum(triangle[j][i] * y[j] for j in range(i + 1, len(triangle)))
        y[i] = total / triangle[i][i]
    return value + sum(expand(a, rank) * v for a, v in zip(y, basis, strict=False))


def reference(restart, cycles, operator, rhs, guess):
    for _ in range(cycles):
        guess = reference_cycle(restart, operator, rhs, guess)
    return guess


@partial(jax.jit, static_argnums=(0, 1))
def cycles_of(restart, cycles, operator, rhs, guess):
    solver = prdp.GMRES(restart)
    state = solver.init(operator, rhs, guess)
    for _ in range(cycles):
        state = solver.step(operator, rhs, state)
    return state.value


def float32(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


# A map from parameters, one of them for each sample where that is the operator's way, to an operator.
FAMILIES = {
    "symmetric": (lambda c: heat((1, 7), "dirichlet", c), lambda: jnp.asarray(0.3)),
    "non_symmetric": (lambda w: convection(9, w), lambda: random(1, 9)),
    "batched": (lambda w: convection(9, w), lambda: random(1, 3, 9)),
    "dense_per_sample": (lambda m: Dense(m, (6,)), lambda: 4 * jnp.eye(6) + random(1, 3, 6, 6)),
    "two_channels": (
        lambda s: jax.tree.map(lambda x: s * x, coupled((5,), "periodic")),
        lambda: jnp.asarray(1.3),
    ),
}


def problem(family):
    make, parameters = FAMILIES[family]
    parameters = parameters()
    shape = make(parameters).shape
    return make, (parameters, random(2, 3, *shape), random(4, 3, *shape))


def central_difference(along, h=2e-4):
    """The derivative of `along` at 0, of fourth order, by one program for its four values."""
    ahead, behind, far_ahead, far_behind = jax.lax.map(along, jnp.asarray([h, -h, 2 * h, -2 * h]))
    return (8 * (ahead - behind) - far_ahead + far_behind) / (12 * h)


@pytest.mark.parametrize(
    ("family", "restart", "cycles"),
    some_fast(
        [(family, *shape) for family in FAMILIES for shape in ((2, 2), (4, 1))],
        [("batched", 2, 2)],
    ),
)
def test_value_and_gradient_are_those_of_a_plain_loop(family, restart, cycles, x64):
    make, arguments = problem(family)
    cotangent = random(5, *arguments[1].shape)

    @partial(jax.jit, static_argnums=0)
    def value_and_pulled(run, arguments, cotangent):
        value, pull_back = jax.vjp(lambda p, b, u: run(restart, cycles, make(p), b, u), *arguments)
        return value, pull_back(cotangent)

    (value, ours), (expected, theirs) = (
        value_and_pulled(run, arguments, cotangent) for run in (cycles_of, reference)
    )
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * np.abs(b).max())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_jvp_vjp_and_finite_differences_agree(family, x64):
    make, arguments = problem(family)
    direction = jax.tree.map(lambda x: random(6, *x.shape), arguments)
    cotangent = random(7, *arguments[1].shape)

    def run(p, b, u):
        return cycles_of(3, 2, make(p), b, u)

    @jax.jit
    def derivatives(arguments, direction, cotangent):
        def along(t):
            return run(*jax.tree.map(lambda x, d: x + t * d, arguments, direction))

        tangent = jax.jvp(run, arguments, direction)[1]
        return tangent, jax.vjp(run, *arguments)[1](cotangent), central_difference(along)

    tangent, pulled, difference = derivatives(arguments, direction, cotangent)
    both = sum(np.vdot(x, y) for x, y in zip(pulled, direction, strict=True))
    np.testing.assert_allclose(both, np.vdot(cotangent, tangent), rtol=1e-11)
    np.testing.assert_allclose(tangent, difference, rtol=0, atol=1e-8 * np.abs(difference).max())


@pytest.mark.slow
def test_the_vjp_is_linear_in_the_cotangent(x64):
    make, arguments = problem("batched")

    @jax.jit
    def pull_back(arguments, cotangent):
        return jax.vjp(lambda p, b, u: cycles_of(4, 2, make(p), b, u), *arguments)[1](cotangent)

    one, two = (random(key, *arguments[1].shape) for key in (7, 8))
    first, second, whole = (pull_back(arguments, c) for c in (one, two, 3 * one - 1e-5 * two))
    for x, y, both in zip(first, second, whole, strict=True):
        expected = 3 * np.asarray(x) - 1e-5 * np.asarray(y)
        np.testing.assert_allclose(both, expected, rtol=1e-10, atol=1e-13 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("against", ["differences", "plain_loop"])
def test_second_derivatives_are_right_too(against, x64):
    make, (parameters, rhs, guess) = problem("non_symmetric")
    direction = random(8, *rhs.shape)

    def slope(run):
        return jax.grad(lambda t: jnp.sum(jnp.sin(run(2, 1, make(parameters), rhs + t * direction, guess))))

    second = jax.jit(jax.jacfwd(slope(cycles_of)))(0.1)
    if against == "plain_loop":
        expected = jax.jit(jax.jacfwd(slope(reference)))(0.1)
    else:
        expected = jax.jit(lambda: central_difference(lambda t: slope(cycles_of)(0.1 + t)))()
    np.testing.assert_allclose(second, expected, rtol=1e-8)


@pytest.mark.parametrize("restart", some_fast([9, 30], [30]))
def test_a_whole_krylov_space_gives_the_exact_gradient(restart, x64):
    a, b, cotangent = OPERATORS["upwind_periodic"](), random(2, 3, 9), random(3, 3, 9)

    @jax.jit
    def pulled(b, cotangent):
        return jax.vjp(lambda b: cycles_of(restart, 1, a, b, jnp.zeros_like(b)), b)[1](cotangent)[0]

    expected = np.linalg.solve(np.asarray(a.as_dense()).T, cotangent.T).T
    np.testing.assert_allclose(pulled(b, cotangent), expected, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("restart", [8, 30])
def test_float32_gradients_of_converged_cycles_are_those_of_float64(restart, x64):
    # Long before the 30th vector the residual is noise, and with it all that the later ones are made of.
    arguments = random(1, 60), random(2, 3, 60), random(4, 3, 60)

    def pulled(*arguments):
        run = lambda w, b, u: cycles_of(restart, 1, convection(60, w), b, u)  # noqa: E731
        return jax.jit(lambda x, c: jax.vjp(run, *x)[1](c))(arguments[:3], arguments[3])

    exact = pulled(*arguments, random(5, 3, 60))
    with jax.enable_x64(False):
        ours = pulled(*float32((*arguments, random(5, 3, 60))))
    for x, y in zip(ours, exact, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["upwind_periodic", "dense_non_symmetric"])
def test_operators_far_from_one_converge_alike_in_float32(operator):
    a = float32(OPERATORS[operator]())
    b = jnp.asarray(random(3, 2, *a.shape), jnp.float32)

    @jax.jit
    def history(operator):
        def step(state, _):
            state = solver.step(operator, b, state)
            return state, norm(state.residual, operator.rank)

        solver = prdp.GMRES(3)
        state, sizes = jax.lax.scan(step, solver.init(operator, b, None), length=4)
        return sizes, state.value

    @jax.jit
    @jax.grad
    def gradient_at(b, operator, factor):
        return jnp.sum(cycles_of(3, 2, operator, b, jnp.zeros_like(b)) * factor)

    (expected, value), plain = history(a), gradient_at(b, a, 1.0)
    for factor in (1e-20, 2.0**-60, 1.0, 2.0**60, 1e20):
        scaled = jax.tree.map(lambda x, factor=factor: jnp.asarray(x * np.float32(factor)), a)
        found, tiny = history(scaled)
        rtol = 0 if np.log2(factor).is_integer() else 2e-2
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=0 if rtol == 0 else 1e-6)
        np.testing.assert_allclose(tiny * np.float32(factor), value, rtol=0, atol=2e-6)
        gradient = gradient_at(b, scaled, factor)
        np.testing.assert_allclose(gradient, plain, rtol=0, atol=1e-4 * np.abs(plain).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("restart", "shape"),
    list(itertools.product([4, 8, 20], [(1, 16), (1, 6, 6)])),
)
def test_a_singular_inconsistent_system_keeps_its_best_iterate(restart, shape):
    a = float32(laplacian(shape, len(shape) - 1, 1.0, "periodic"))
    # The mean is out of reach: no value has a residual below its size.
    b = 1 + 0.5 * jnp.asarray(random(0, *shape), jnp.float32)
    mean = float(jnp.linalg.norm(jnp.full(shape, b.mean())) / jnp.linalg.norm(b))
    solution = prdp.solve(a, b, solver=prdp.GMRES(restart), iterations=100, tolerance=1e-6)
    assert Status(int(solution.status)) is Status.STAGNATED
    assert mean * 0.999 <= float(solution.residual_norm) <= 1.001
    assert float(jnp.abs(solution.value).max()) < 1e3
    np.testing.assert_allclose(
        solution.residual_norm, jnp.linalg.norm(b - a.mv(solution.value)) / jnp.linalg.norm(b), rtol=1e-4
    )


def test_a_right_hand_side_in_the_null_space_leaves_zero():
    a = float32(laplacian((1, 16), 1, 1.0, "periodic"))
    solution = prdp.solve(a, jnp.ones((1, 16)), solver=prdp.GMRES(4), iterations=100)
    assert Status(int(solution.status)) is Status.STAGNATED
    np.testing.assert_array_equal(solution.value, 0)
    assert float(solution.residual_norm) == 1


def test_residuals_never_grow_and_are_those_of_the_value():
    a, solver = float32(OPERATORS["upwind_periodic"]()), prdp.GMRES(3)
    b = jnp.asarray(random(3, 2, 9), jnp.float32)

    @jax.jit
    def history(a, b):
        def step(state, _):
            state = solver.step(a, b, state)
            return state, (state, b - a.mv(state.value), norm(state.residual, 1))

        start = solver.init(a, b, None)
        return norm(start.residual, 1), jax.lax.scan(step, start, length=20)[1]

    beginning, (states, residuals, sizes) = history(a, b)
    np.testing.assert_allclose(states.residual, residuals, atol=1e-6)
    assert np.all(np.diff([beginning, *sizes], axis=0) <= 0)
    np.testing.assert_array_equal(states.failure[-1], Status.STAGNATED)


def test_a_rejected_cycle_passes_derivatives_on(x64):
    shift, rhs = Dense(jnp.roll(jnp.eye(4), 1, axis=0), (4,)), jnp.eye(4)[0]
    solver = prdp.GMRES(2)

    def step(operator, rhs, value, residual):
        state = solver.step(operator, rhs, GMRESState(value, residual, jnp.int32(0)))
        return state.value, state.residual

    @jax.jit
    def value_and_pulled(arguments, cotangents):
        out, pull_back = jax.vjp(step, *arguments)
        return out[0], pull_back(cotangents)

    one, two = random(1, 4), random(2, 4)
    value, pulled = value_and_pulled((shift, rhs, jnp.zeros(4), rhs), (one, two))
    np.testing.assert_array_equal(value, 0)
    operator_bar, rhs_bar, value_bar, residual_bar = pulled
    np.testing.assert_array_equal(operator_bar.matrix, 0)
    np.testing.assert_array_equal(rhs_bar, 0)
    np.testing.assert_array_equal(value_bar, one)
    np.testing.assert_array_equal(residual_bar, two)


@pytest.mark.slow
def test_zero_and_non_finite_residuals_have_zero_derivatives():
    a, solver = float32(OPERATORS["upwind_periodic"]()), prdp.GMRES(3)

    @jax.jit
    def step(operator, b, residual):
        return solver.step(operator, b, GMRESState(jnp.zeros_like(b), residual, jnp.zeros(2, jnp.int32)))

    @jax.jit
    @partial(jax.grad, argnums=(0, 2))
    def pulled(operator, b, residual):
        return jnp.sum(step(operator, b, residual).value[0])

    for rhs in (0.0, np.nan, np.inf):
        b = jnp.asarray([[1.0] * 9, [rhs] * 9], jnp.float32)
        state = step(a, b, b)
        np.testing.assert_array_equal(state.failure, 0)
        np.testing.assert_array_equal(state.value[1], 0)
        operator_bar, residual_bar = pulled(a, b, np.where(np.isfinite(b), b, 0))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(operator_bar))
        np.testing.assert_array_equal(residual_bar[1], 0)


def test_pivots_at_rounding_level_do_not_blow_up(x64):
    hessenberg = jnp.asarray([[1.0, 1.0, 0.5], [1.0, 1.0 + 1e-15, 0.2], [0.0, 0.0, 0.3], [0.0, 0.0, 0.1]])
    fit = jax.jit(least_squares)(hessenberg, jnp.asarray(1.0))
    assert float(fit.weights[1]) == 0
    assert float(jnp.abs(fit.weights).max()) < 10
    assert float(jnp.abs(fit.inverse).max()) < 100


@pytest.mark.parametrize("m", [1, 3, 9])
def test_least_squares_are_those_of_numpy(m, x64):
    hessenberg = jnp.triu(random(1, 4, m + 1, m), -1)
    beta = jnp.abs(random(2, 4))
    fit = jax.jit(least_squares)(hessenberg, beta)
    for h, b, y, inverse in zip(hessenberg, beta, *fit, strict=True):
        expected, *_ = np.linalg.lstsq(h, b * np.eye(m + 1)[0], rcond=None)
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(inverse @ inverse.T, np.linalg.inv(h.T @ h), rtol=1e-8, atol=1e-10)


orthonormal = jax.jit(arnoldi, static_argnums=2)


@pytest.mark.parametrize("strength", [0.001, 1.0, 100.0])
def test_the_basis_is_orthonormal_in_float32(strength):
    a = float32(heat((1, 300), "dirichlet", strength))
    b = jnp.asarray(random(1, 2, 1, 300), jnp.float32)
    krylov = jax.device_get(orthonormal(a, b, 25))
    gram = np.einsum("bmn,bkn->bmk", krylov.basis, krylov.basis)
    # The first vector that is zero ends an exhausted space.
    expected = np.eye(25) * (np.einsum("bmn,bmn->bm", krylov.basis, krylov.basis) > 0.5)[:, None]
    # What is lost is a rounding times the cancellation in a vector; that of the images themselves is not.
    cancelled = krylov.hessenberg[:, np.arange(1, 26), np.arange(25)]
    loss = 1e-6 / max(float(np.where(cancelled > 0, cancelled, 1).min()), 1e-6)
    np.testing.assert_allclose(gram, expected, atol=max(5e-6, loss))
    images = np.asarray(jax.vmap(a.mv, 1, 1)(krylov.basis.reshape(2, 25, 1, 300))).reshape(2, 25, 300)
    images = images * krylov.scale[:, None, None]
    whole = np.concatenate([krylov.basis, krylov.last[:, None]], axis=1)
    np.testing.assert_allclose(images, np.einsum("bij,bin->bjn", krylov.hessenberg, whole), atol=1e-6)


@pytest.mark.parametrize("n", [3, 1000, 50_000])
def test_a_multiple_of_the_identity_is_solved_by_one_vector_in_float32(n):
    a = heat((1, n), "dirichlet", 0.0)
    a = float32(jax.tree.map(lambda x: 3 * x, a))
    b = jnp.asarray(random(0, 2, 1, n), jnp.float32)
    solution = prdp.solve(a, b, solver=prdp.GMRES(6), iterations=3, tolerance=3e-6)
    np.testing.assert_array_equal(solution.status, Status.CONVERGED)
    np.testing.assert_array_equal(solution.iterations, 1)
    np.testing.assert_allclose(solution.value, b / 3, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "restart"),
    list(itertools.product([(), (0,), (2, 3)], [1, 5])),
)
def test_any_batch_is_differentiable(batch, restart, x64):
    a = heat((1, 12), "dirichlet", 2.0)
    b = random(0, *batch, 1, 12)

    @jax.jit
    def value_and_pulled(a, b):
        value, pull_back = jax.vjp(lambda a, b: cycles_of(restart, 2, a, b, jnp.zeros_like(b)), a, b)
        return value, pull_back(jnp.ones_like(value))[1]

    value, gradient = value_and_pulled(a, b)
    assert value.shape == gradient.shape == b.shape
    flat = b.reshape(-1, 1, 12)
    for i, alone in enumerate(flat):
        expected = cycles_of(restart, 2, a, alone, jnp.zeros_like(alone))
        np.testing.assert_allclose(value.reshape(flat.shape)[i], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_vmap_over_operators_is_a_loop_over_them(x64):
    make, (winds, rhs, _) = problem("batched")
    total = jax.value_and_grad(lambda w, b: jnp.sum(jnp.sin(cycles_of(2, 2, make(w), b, 0 * b))), (0, 1))
    together, one_after_another = jax.jit(
        lambda *x: (jax.vmap(total)(*x), jax.lax.map(lambda y: total(*y), x))
    )(winds, rhs)
    for x, y in zip(jax.tree.leaves(together), jax.tree.leaves(one_after_another), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("restart", [1, 2, 12])
@pytest.mark.slow
def test_it_traces_inside_shard_map_and_without_implicit_promotion(restart):
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    matrix = jnp.asarray(4 * np.eye(15) + np.asarray(random(1, 2, 15, 15)), jnp.float32)
    rhs = jnp.asarray(random(2, 2, 15), jnp.float32)

    def loss(matrix, rhs):
        return cycles_of(restart, 2, Dense(matrix, (15,)), rhs, jnp.zeros_like(rhs)) ** 2

    def gradients(matrix, rhs):
        return jax.vjp(loss, matrix, rhs)[1](jnp.ones_like(rhs))

    split, shared = PartitionSpec("batch"), PartitionSpec()
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        plain = jax.jit(gradients)(matrix, rhs)
        sharded = jax.jit(jax.shard_map(gradients, mesh=mesh, in_specs=(split, split), out_specs=split))(
            matrix, rhs
        )
        # A right-hand side that is the same everywhere, and operators that are not.
        jax.jit(jax.shard_map(loss, mesh=mesh, in_specs=(split, shared), out_specs=split)).lower(matrix, rhs)
    for x, y in zip(sharded, plain, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def count(jaxpr):
    """Equations of a jaxpr and of all within it."""
    inner_ones = (
        sub.jaxpr if hasattr(sub, "jaxpr") else sub
        for equation in jaxpr.eqns
        for value in equation.params.values()
        for sub in jax.tree.leaves(value, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr"))
        if hasattr(sub, "eqns") or hasattr(sub, "jaxpr")
    )
    return len(jaxpr.eqns) + sum(map(count, inner_ones))


@pytest.mark.slow
def test_the_program_does_not_grow_with_the_restart():
    a, b = heat((1, 200), "dirichlet"), jnp.ones((1, 200))

    def size(restart):
        run = lambda a, b: jnp.sum(cycles_of(restart, 1, a, b, jnp.zeros_like(b)))  # noqa: E731
        return [count(jax.make_jaxpr(f)(a, b).jaxpr) for f in (run, jax.grad(run, (0, 1)))]

    assert size(18) == size(33)
    # A loop more where the basis has doubled.
    assert all(100 < x < 1.5 * y for x, y in zip(size(66), size(33), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "preconditioner",
    [prdp.solvers.Diagonal(), prdp.solvers.Fourier()],
)
def test_preconditioned_cycles_have_exact_gradients(preconditioner, x64):
    solver = prdp.solvers.Preconditioned(prdp.GMRES(3), preconditioner)
    arguments = random(1, 9), random(2, 3, 9)

    def total(winds, rhs):
        options = {"solver": solver, "differentiation": prdp.Unrolled(), "iterations": 2, "tolerance": 0.0}
        return jnp.sum(jnp.sin(prdp.solve(convection(9, winds), rhs, **options).value))

    direction = random(5, 9), random(6, 3, 9)

    @jax.jit
    def derivatives(arguments, direction):
        along = lambda t: total(*jax.tree.map(lambda x, d: x + t * d, arguments, direction))  # noqa: E731
        return jax.grad(total, (0, 1))(*arguments), central_difference(along)

    gradient, difference = derivatives(arguments, direction)
    exact = sum(np.vdot(g, d) for g, d in zip(gradient, direction, strict=True))
    np.testing.assert_allclose(exact, difference, rtol=1e-8)
