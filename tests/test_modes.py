"""Each rival mode against its closed form, dense and in float64, and the laws by which they err."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import AdjointStats
from prdp.differentiation import (
    JFB,
    Checkpointed,
    Implicit,
    Neumann,
    OneStep,
    Phantom,
    ReducedCG,
    Truncated,
    Unrolled,
)
from tests.cases import SOLVERS, convection, heat, random, some_fast

# Modes that make do with the solution, and how many products with A^T each takes.
AT_THE_SOLUTION = {
    "jfb": (JFB(), 0),
    "phantom": (Phantom(4, 0.6), 3),
    "phantom_unrolled": (Phantom(4, 0.6, "unrolled"), 8),
    "neumann": (Neumann(6, 0.4), 6),
    "reduced_cg": (ReducedCG(3), 4),  # one to measure the residual
}
# One solver of each kind of state.
KINDS = ("jacobi", "steepest_descent", "conjugate_gradient", "gmres_2", "bicgstab")
ALL = {
    **{name: mode for name, (mode, _) in AT_THE_SOLUTION.items()},
    "implicit": Implicit(),
    "implicit_ratio": Implicit(adjoint_ratio=0.5),
    "unrolled": Unrolled(60),
    "checkpointed": Checkpointed(60),
    "truncated": Truncated(4),
    "one_step": OneStep(),
}


def gradient(mode, operator_of, parameters, rhs, solver=prdp.Jacobi(), iterations=6, tolerance=0.0):
    """The gradient of a nonlinear function of the solution, with respect to parameters of A and to b."""
    arguments = parameters, rhs, None, jnp.int32(iterations), tolerance
    return gradient_and_stats(mode, operator_of, solver, *arguments)[0]


@partial(jax.jit, static_argnums=(0, 1, 2))
def gradient_and_stats(mode, operator_of, solver, parameters, rhs, guess, iterations, tolerance):
    """The same, and what the adjoint took: one program for every K and every tolerance."""

    def value(parameters, rhs, stats):
        solution = prdp.solve(
            operator_of(parameters),
            rhs,
            solver=solver,
            differentiation=mode,
            iterations=iterations,
            tolerance=tolerance,
            guess=guess,
            adjoint_stats=stats,
        )
        return jnp.sum(jnp.sin(1.3 * solution.value))

    *pulled, stats = jax.grad(value, (0, 1, 2))(parameters, rhs, AdjointStats.zero())
    return tuple(pulled), stats


def close(ours, expected, tolerance=1e-12):
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * float(np.abs(b).max()), rtol=0)


def diffusion(c):
    return heat((1, 9), "dirichlet", c)


def upwind(winds):
    return convection(9, winds)


def problem(solver):
    """An operator that suits a solver, its parameters, and right-hand sides of three samples."""
    if SOLVERS[solver].non_symmetric:
        return upwind, random(1, 9), random(2, 3, 9)
    return diffusion, jnp.asarray(0.3), random(2, 3, 1, 9)


def dense_multiplier(name, matrix, cotangent):
    """lambda of a mode, written with dense matrices and powers."""
    identity, transposed = np.eye(len(matrix)), matrix.T
    inverse_m = np.diag(1 / np.diag(matrix))
    if name == "jfb":
        return inverse_m @ cotangent
    if name.startswith("phantom"):
        powers = [np.linalg.matrix_power(identity - 0.6 * inverse_m @ transposed, t) for t in range(4)]
        return sum(powers) @ (0.6 * inverse_m) @ cotangent
    if name == "neumann":
        powers = [np.linalg.matrix_power(identity - 0.4 * transposed, t) for t in range(7)]
        return 0.4 * sum(powers) @ cotangent
    # The minimiser of the energy norm over the Krylov space of three products.
    columns = []
    for one in cotangent.T:
        basis, _ = np.linalg.qr(np.stack([np.linalg.matrix_power(transposed, i) @ one for i in range(3)], 1))
        columns.append(basis @ np.linalg.solve(basis.T @ transposed @ basis, basis.T @ one))
    return np.stack(columns, 1)


@pytest.mark.parametrize("name", AT_THE_SOLUTION)
def test_lambda_equals_its_closed_form_and_its_cost_is_counted(name, x64):
    mode, products = AT_THE_SOLUTION[name]
    c, rhs = jnp.asarray(0.3), random(2, 3, 1, 9)
    # With a converged solution, which all of these suppose.
    ours, stats = gradient_and_stats(mode, diffusion, prdp.Jacobi(), c, rhs, None, jnp.int32(500), 1e-15)
    matrix = np.asarray(diffusion(0.3).as_dense())
    u = np.linalg.solve(matrix, np.asarray(rhs).reshape(3, 9).T)
    multiplier = dense_multiplier(name, matrix, 1.3 * np.cos(1.3 * u))
    slope = (np.asarray(diffusion(1.3).as_dense()) - matrix) / 1.0
    close(ours, (-np.sum(multiplier * (slope @ u)), multiplier.T.reshape(3, 1, 9)), 1e-11)
    assert float(stats.matvecs) == products


@pytest.mark.slow
@pytest.mark.parametrize(
    "solver",
    [
        prdp.Jacobi(),
        prdp.Jacobi(relaxation=0.7),
        prdp.Richardson(),
    ],
)
def test_limits_of_the_modes_at_the_solution(solver, x64):
    arguments = (upwind, random(1, 9), random(2, 3, 9), solver)
    one = gradient(Implicit(adjoint_iterations=1), *arguments)
    close(gradient(JFB(), *arguments), one)
    close(gradient(Phantom(1, 1.0), *arguments), one)
    expected = gradient(Implicit(adjoint_iterations=5), *arguments)
    close(gradient(Phantom(5, 1.0), *arguments), expected)
    exact = gradient(Implicit(adjoint_iterations=4000, adjoint_tolerance=1e-15), *arguments)
    close(gradient(Phantom(1500, 0.5), *arguments), exact, 1e-10)


@pytest.mark.slow
def test_neumann_is_richardson_and_reduced_cg_ends_exact(x64):
    c, rhs = jnp.asarray(0.3), random(2, 3, 1, 9)
    richardson = prdp.Richardson(0.4)
    expected = gradient(Implicit(adjoint_iterations=8), diffusion, c, rhs, richardson)
    close(gradient(Neumann(7, 0.4), diffusion, c, rhs, richardson), expected)
    settings = {"iterations": 500, "tolerance": 1e-15}
    close(
        gradient(ReducedCG(9), diffusion, c, rhs, **settings),
        gradient(Implicit(), diffusion, c, rhs, **settings),
        1e-11,
    )


def test_phantom_forms_differ_where_the_solution_is_not_converged(x64):
    c, rhs = jnp.asarray(0.3), random(2, 3, 1, 9)
    neumann = gradient(Phantom(4, 0.6), diffusion, c, rhs, iterations=3)
    unrolled = gradient(Phantom(4, 0.6, "unrolled"), diffusion, c, rhs, iterations=3)
    close(neumann[1:], unrolled[1:])
    assert abs(float(neumann[0] / unrolled[0] - 1)) > 1e-3


def stopped_loop(solver, operator, rhs, iterations, kept):
    """The solver's loop in Python, its iterate a constant before the last `kept` iterations."""
    operator = solver.prepare(operator)
    state = solver.init(operator, rhs, None)
    for k in range(iterations):
        if k == iterations - kept:
            state = jax.tree.map(jax.lax.stop_gradient, state)
            state = state._replace(residual=rhs - operator.mv(state.value))
        state = solver.step(operator, rhs, state)
    return solver.solution(operator, state)


@pytest.mark.parametrize(
    ("solver", "kept"),
    some_fast(
        itertools.product(KINDS, [1, 3]),
        # Of GMRES, the next test but one has the truncated loop too.
        [("jacobi", 1), ("conjugate_gradient", 3)],
    ),
)
def test_truncated_equals_a_loop_that_stops_gradients(solver, kept, x64):
    case = SOLVERS[solver].solver
    operator_of, parameters, rhs = problem(solver)

    def plain(parameters, rhs):
        value = stopped_loop(case, operator_of(parameters), rhs, 5, kept)
        return jnp.sum(jnp.sin(1.3 * value))

    mode = OneStep() if kept == 1 else Truncated(kept)
    expected = jax.jit(jax.grad(plain, (0, 1)))(parameters, rhs)
    close(gradient(mode, operator_of, parameters, rhs, case, 5), expected, 1e-11)


@pytest.mark.slow
def test_truncated_counts_from_the_end_of_each_system(x64):
    # Systems of a batch leave at their own iterations; alone, each has the same gradient.
    c, rhs = jnp.asarray(0.3), random(2, 3, 1, 9) * jnp.asarray([1.0, 1e3, 1e-3])[:, None, None]
    rhs = rhs.at[1].set(jnp.sin(jnp.pi * jnp.arange(1, 10) / 10) * 5)
    settings = {"iterations": 60, "tolerance": 1e-3}
    used = prdp.solve(diffusion(c), rhs, **settings).iterations
    assert len(set(np.asarray(used).tolist())) > 1
    for mode in (Truncated(3), Truncated(int(used.min()) + 1), Checkpointed(60)):
        together = gradient(mode, diffusion, c, rhs, **settings)
        alone = [gradient(mode, diffusion, c, rhs[i : i + 1], **settings) for i in range(3)]
        expected = sum(a[0] for a in alone), jnp.concatenate([a[1] for a in alone])
        close(together, expected, 1e-11)


@pytest.mark.parametrize(
    ("solver", "snapshots"),
    some_fast(
        [*((kind, None) for kind in KINDS), ("jacobi", 1), ("jacobi", 7)],
        [("jacobi", None), ("jacobi", 7)],
    ),
)
def test_checkpointed_and_long_truncated_are_unrolled(solver, snapshots, x64):
    arguments = (*problem(solver), SOLVERS[solver].solver, 5)
    expected = gradient(Unrolled(20), *arguments)
    close(gradient(Checkpointed(20, snapshots), *arguments), expected)
    if snapshots is None:
        close(gradient(Truncated(5), *arguments), expected, 1e-11)


@pytest.mark.slow
def test_checkpointed_takes_less_memory():
    rhs = jnp.ones((1, 4096))

    def memory(mode):
        # Of a parameter in A, whose gradient needs the iterates.
        def value(c, iterations):
            operator = heat((1, 4096), "dirichlet", c)
            return jnp.sum(
                prdp.solve(operator, rhs, differentiation=mode, iterations=iterations, tolerance=0.0).value
                ** 2
            )

        compiled = jax.jit(jax.grad(value)).lower(0.3, jnp.int32(3)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole, two_levels = memory(Unrolled(400)), memory(Checkpointed(400))
    # 400 states of two fields against 20 + 20.
    assert whole > 400 * 2 * 4096 * 4
    assert two_levels < 0.2 * whole
    assert memory(Truncated(5)) < 0.05 * whole


def test_room_and_cap_of_checkpointed():
    value = lambda k: prdp.solve(  # noqa: E731
        diffusion(0.3), random(2, 1, 9), differentiation=Checkpointed(4), iterations=k, tolerance=0.0
    )
    with pytest.raises(ValueError, match="above iterations_cap=4"):
        value(5)
    assert not np.any(np.isnan(value(4).value))


@pytest.mark.parametrize("name", ALL)
def test_one_program_serves_every_k_and_its_vjp_is_linear_in_the_cotangent(name):
    operator = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), diffusion(0.3))
    rhs, cotangent = (np.asarray(random(i, 3, 1, 9), np.float32) for i in (2, 3))
    traces = []

    @jax.jit
    def pull_back(operator, rhs, cotangent, iterations, tolerance):
        traces.append(1)

        def value(operator, rhs):
            options = {"differentiation": ALL[name], "iterations": iterations, "tolerance": tolerance}
            return prdp.solve(operator, rhs, **options).value

        return jax.vjp(value, operator, rhs)[1](cotangent)

    for k in (1, 4, 9):
        assert np.isfinite(pull_back(operator, rhs, cotangent, jnp.int32(k), 0.0)[1]).all()
    plain = jax.tree.leaves(pull_back(operator, rhs, cotangent, jnp.int32(7), 1e-5))
    for size in (1e-8, 1.0, 1e4):
        pulled = pull_back(operator, rhs, np.float32(size) * cotangent, jnp.int32(7), 1e-5)
        for scaled, one in zip(jax.tree.leaves(pulled), plain, strict=True):
            np.testing.assert_allclose(scaled, np.float32(size) * one, rtol=2e-4, atol=3e-6 * size)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("mode", "solver", "told"),
    [
        (JFB(), prdp.GMRES(restart=2), "JFB needs a splitting A = M - N, and GMRES has none"),
        (Phantom(), prdp.SteepestDescent(), "phantom gradients need a splitting"),
        (ReducedCG(), prdp.Jacobi(), "ConjugateGradient needs a symmetric operator"),
        (OneStep(), prdp.Preconditioned(prdp.GMRES(2), prdp.Diagonal()), "not defined for a preconditioned"),
    ],
)
def test_an_undefined_mode_is_refused_in_one_line(mode, solver, told):
    operator = convection(9, random(1, 9)) if isinstance(mode, ReducedCG) else diffusion(0.3)
    rhs = random(2, 9) if isinstance(mode, ReducedCG) else random(2, 1, 9)
    with pytest.raises(ValueError, match=told) as refusal:
        prdp.solve(operator, rhs, solver=solver, differentiation=mode, iterations=3)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Phantom(0), "steps=0"),
        (lambda: Phantom(damping=0.0), "damping=0.0: allowed is 0 < damping <= 1"),
        (lambda: Phantom(form="x"), "form='x': allowed are neumann, unrolled"),
        (lambda: Neumann(-1), "terms=-1"),
        (lambda: Neumann(step_size=0.0), "step_size=0"),
        (lambda: ReducedCG(0), "steps=0"),
        (lambda: Truncated(0), "steps=0"),
        (lambda: OneStep(2), "steps=2: allowed is 1"),
        (lambda: Checkpointed(4, 0), "snapshots=0"),
        (lambda: Implicit(adjoint_ratio=0.0), "adjoint_ratio=0.0"),
        (lambda: Implicit(3, 0.5), "allowed only where adjoint_iterations is null"),
    ],
)
def test_bad_parameters_are_named(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def slope(ks, errors):
    return np.polyfit(ks, np.log(errors), 1)[0]


@pytest.mark.slow
def test_errors_contract_at_the_rate_of_the_iteration(x64):
    spectrum, vectors = np.linspace(1, 20, 9), np.linalg.qr(np.asarray(random(4, 9, 9)))[0]
    matrix = jnp.asarray(vectors @ np.diag(spectrum) @ vectors.T)
    operator_of = lambda c: prdp.Dense(c * matrix + (1 - c) * jnp.diag(jnp.diag(matrix)), (1, 9))  # noqa: E731
    c, rhs = jnp.asarray(1.0), random(2, 1, 9)
    solver = prdp.Jacobi(relaxation=0.5)
    iteration = np.eye(9) - 0.5 * np.diag(1 / np.diag(np.asarray(matrix))) @ np.asarray(matrix)
    rate = math.log(max(abs(np.linalg.eigvals(iteration))))
    exact = gradient(Implicit(4000, adjoint_tolerance=0.0), operator_of, c, rhs, solver, 4000)
    size = float(jnp.linalg.norm(exact[1]))

    guess = jnp.linalg.solve(matrix, rhs[..., None])[..., 0]

    def errors(mode, ks, guess=None):
        """Of the derivative with respect to A, and to b, for each K."""
        found = [
            gradient_and_stats(mode(k), operator_of, solver, c, rhs, guess, jnp.int32(k), 0.0)[0]
            for k in map(int, ks)
        ]
        return np.array([[np.linalg.norm(f[i] - exact[i]) / size for f in found] for i in (0, 1)])

    ks = np.arange(60, 141, 20)
    # The adjoint alone truncated, from the exact solution: rho^K for b and for A.
    for found in errors(lambda _: Implicit(), ks, guess):
        assert slope(ks, found) == pytest.approx(rate, rel=0.02)
    # The last K' iterations reversed: rho^K' as well. K is far above.
    few = ks[::2]
    found = [gradient(Truncated(int(k)), operator_of, c, rhs, solver, 4000)[1] for k in few]
    assert slope(few, [np.linalg.norm(f - exact[1]) / size for f in found]) == pytest.approx(rate, rel=0.02)
    # Unrolled, parameters in A: K rho^K. Divided by K it falls like rho^K, not divided it falls more slowly.
    found, _ = errors(lambda _: Unrolled(200), ks)
    assert slope(ks, found / ks) == pytest.approx(rate, rel=0.02)
    assert slope(ks, found) > rate * 0.95
