"""Every solver on every operator against a dense solve, and its behaviour at the edges."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp import Status
from prdp.linalg import Dense, Stencil, identity, laplacian
from tests.cases import OPERATORS, SOLVERS, heat, random, some_fast, spd_matrix

SYMMETRIC = {name for name, make in OPERATORS.items() if make().symmetric}
PAIRS = [
    (s, o) for s, o in itertools.product(SOLVERS, OPERATORS) if SOLVERS[s].non_symmetric or o in SYMMETRIC
]
# Every solver and every operator takes part once or twice.
FAST = [(s, o) for s, o in PAIRS if (list(SOLVERS).index(s) + list(OPERATORS).index(o)) % 8 == 0]
FAST += [next(pair for pair in PAIRS if pair[1] == o) for o in OPERATORS if o not in {x for _, x in FAST}]


def matrices_of(operator, batch=1):
    """The operator's matrix for each sample."""
    matrix = np.asarray(jax.jit(lambda a: a.as_dense())(operator))
    return np.broadcast_to(matrix, (batch, *matrix.shape[-2:]))


def dense_solution(operator, rhs):
    flat = np.asarray(rhs).reshape(-1, operator.size)
    return np.linalg.solve(matrices_of(operator, len(flat)), flat[..., None])[..., 0].reshape(rhs.shape)


def test_the_fast_pairs_hold_every_solver_and_every_operator():
    assert {s for s, _ in FAST} == set(SOLVERS)
    assert {o for _, o in FAST} == set(OPERATORS)


@pytest.mark.parametrize(("solver", "operator"), some_fast(PAIRS, FAST))
def test_converged_value_equals_the_dense_solve(solver, operator, x64):
    case, a = SOLVERS[solver], OPERATORS[operator]()
    b = random(7, 3, *a.shape)
    solution = prdp.solve(a, b, solver=case.solver, iterations=case.iterations, tolerance=1e-13)
    np.testing.assert_array_equal(solution.status, Status.CONVERGED)
    expected = dense_solution(a, b)
    np.testing.assert_allclose(solution.value, expected, atol=1e-11 * np.abs(expected).max())
    flat, value = (np.asarray(x).reshape(3, -1) for x in (b, solution.value))
    residual = np.linalg.norm(flat - np.einsum("bij,bj->bi", matrices_of(a, 3), value), axis=1)
    np.testing.assert_allclose(solution.residual_norm, residual / np.linalg.norm(flat, axis=1), atol=1e-13)


@pytest.mark.parametrize("solver", [s for s in SOLVERS if SOLVERS[s].solver.requires_symmetric])
def test_solvers_for_symmetric_operators_refuse_others(solver):
    with pytest.raises(ValueError, match="needs a symmetric operator"):
        prdp.solve(OPERATORS["upwind_periodic"](), jnp.ones(9), solver=SOLVERS[solver].solver, iterations=3)


def test_jacobi_iterates_are_those_of_algorithm_1(x64):
    a, b = OPERATORS["dense_non_symmetric"](), random(0, 6)
    matrix = np.asarray(a.as_dense())
    diagonal, rest = np.diagonal(matrix), matrix - np.diag(np.diagonal(matrix))
    u = np.zeros(6)
    for k in range(1, 6):
        u = (np.asarray(b) - rest @ u) / diagonal
        value = prdp.solve(a, b, solver=prdp.Jacobi(), iterations=k, tolerance=0.0).value
        np.testing.assert_allclose(value, u, rtol=1e-13)


@pytest.mark.parametrize("residual", ["recursive", "recomputed"])
def test_steepest_descent_iterates_are_those_of_algorithm_2(residual, x64):
    a, b = OPERATORS["dense_spd"](), random(0, 2, 3)
    matrix, r = np.asarray(a.as_dense()), np.asarray(b).ravel()
    u = np.zeros(6)
    for k in range(1, 6):
        alpha = (r @ r) / (r @ matrix @ r)
        u, r = u + alpha * r, r - alpha * matrix @ r
        solver = prdp.SteepestDescent(residual)
        value = prdp.solve(a, b, solver=solver, iterations=k, tolerance=0.0).value
        np.testing.assert_allclose(value.ravel(), u, rtol=1e-12)


def test_conjugate_gradient_is_exact_after_as_many_iterations_as_eigenvalues(x64):
    eigenvalues = np.array([1.0, 1.0, 2.0, 2.0, 7.0, 7.0])
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))
    a = Dense(jnp.asarray(q @ np.diag(eigenvalues) @ q.T), (6,), True)
    solution = prdp.solve(a, random(1, 6), solver=prdp.ConjugateGradient(), iterations=50, tolerance=1e-12)
    assert int(solution.iterations) == 3


@pytest.mark.parametrize("restart", some_fast([1, 2, 3, 8], [2]))
def test_a_gmres_cycle_minimises_the_residual_over_its_krylov_space(restart, x64):
    a, b = OPERATORS["dense_non_symmetric"](), random(2, 6)
    matrix, rhs = np.asarray(a.as_dense()), np.asarray(b)
    krylov = np.stack([np.linalg.matrix_power(matrix, j) @ rhs for j in range(min(restart, 6))], axis=1)
    y, *_ = np.linalg.lstsq(matrix @ krylov, rhs, rcond=None)
    solution = prdp.solve(a, b, solver=prdp.GMRES(restart), iterations=1, tolerance=0.0)
    np.testing.assert_allclose(solution.value, krylov @ y, rtol=1e-8)
    # One more to measure the residual.
    assert int(solution.matvecs) == restart + 1


def test_gmres_reports_stagnation(x64):
    # The cyclic shift: no Krylov space below dimension n holds anything that lowers the residual of e_1.
    shift = Dense(jnp.roll(jnp.eye(4), 1, axis=0), (4,))
    solution = prdp.solve(shift, jnp.eye(4)[0], solver=prdp.GMRES(3), iterations=100)
    assert Status(int(solution.status)) is Status.STAGNATED
    assert int(solution.iterations) == 1
    full = prdp.solve(shift, jnp.eye(4)[0], solver=prdp.GMRES(4), iterations=100)
    assert Status(int(full.status)) is Status.CONVERGED
    np.testing.assert_allclose(full.value, jnp.eye(4)[3], atol=1e-14)


def test_gmres_survives_an_exhausted_krylov_space(x64):
    solution = prdp.solve(Dense(2 * jnp.eye(6), (6,)), random(0, 6), solver=prdp.GMRES(5), iterations=3)
    assert Status(int(solution.status)) is Status.CONVERGED
    np.testing.assert_allclose(solution.value, random(0, 6) / 2, rtol=1e-14)


@pytest.mark.parametrize(
    "operator",
    some_fast(["dense_non_symmetric", "upwind_periodic", "heat_1d_dirichlet"], ["dense_non_symmetric"]),
)
def test_bicgstab_iterates_are_those_of_the_textbook(operator, x64):
    a = OPERATORS[operator]()
    matrix, rhs = np.asarray(a.as_dense()), random(0, 2, *a.shape)
    iterates = []
    for b in np.asarray(rhs).reshape(2, -1):
        u, r, p = np.zeros_like(b), b, b
        for _ in range(5):
            alpha = (r @ b) / (matrix @ p @ b)
            s = r - alpha * matrix @ p
            omega = (matrix @ s @ s) / (matrix @ s @ matrix @ s)
            u, old, r = u + alpha * p + omega * s, r, s - omega * matrix @ s
            p = r + (r @ b) / (old @ b) * alpha / omega * (p - omega * matrix @ p)
            iterates.append(u)
    for k, expected in enumerate(np.reshape(iterates, (2, 5, *a.shape)).swapaxes(0, 1), start=1):
        solution = prdp.solve(a, rhs, solver=prdp.BiCGStab(), iterations=k, tolerance=0.0)
        np.testing.assert_allclose(solution.value, expected, rtol=1e-10)
        # One more to measure the residual.
        np.testing.assert_array_equal(solution.matvecs, 2 * k + 1)


def test_bicgstab_converges_where_its_half_step_is_exact(x64):
    solution = prdp.solve(Dense(2 * jnp.eye(6), (6,)), random(0, 6), solver=prdp.BiCGStab(), iterations=3)
    assert Status(int(solution.status)) is Status.CONVERGED
    assert int(solution.iterations) == 1
    np.testing.assert_array_equal(solution.value, random(0, 6) / 2)


def test_bicgstab_reports_each_breakdown_and_spares_the_others(x64):
    # From e_1: r_0.Ap = 0, As.s = 0 and r_0.r = 0 in the first iteration; the fourth is solved.
    broken = [
        [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        [[1.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]],
    ]
    a = Dense(jnp.stack([*map(jnp.asarray, broken), spd_matrix(3)]), (3,))
    b = jnp.tile(jnp.eye(3)[0], (4, 1))
    together = prdp.solve(a, b, solver=prdp.BiCGStab(), iterations=50, tolerance=1e-12)
    np.testing.assert_array_equal(together.status, [Status.BREAKDOWN] * 3 + [Status.CONVERGED])
    np.testing.assert_array_equal(together.iterations[:3], 1)
    assert np.isfinite(together.value).all()
    np.testing.assert_allclose(
        together.residual_norm,
        np.linalg.norm(b - np.einsum("bij,bj->bi", a.matrix, together.value), axis=1),
        atol=1e-14,
    )
    one = Dense(spd_matrix(3), (3,))
    alone = prdp.solve(one, b[3], solver=prdp.BiCGStab(), iterations=50, tolerance=1e-12)
    assert int(together.iterations[3]) == int(alone.iterations)
    np.testing.assert_allclose(together.value[3], alone.value, rtol=1e-14)


@pytest.mark.parametrize("n", some_fast([2, 4, 31], [2, 31]))
def test_a_skew_symmetric_matrix_breaks_bicgstab_down_even_where_rounding_hides_the_zero(n, x64):
    matrices = random(0, 50, n, n)
    a = Dense(matrices - matrices.swapaxes(1, 2), (n,))
    solution = prdp.solve(a, random(1, 50, n), solver=prdp.BiCGStab(), iterations=100)
    np.testing.assert_array_equal(solution.status, Status.BREAKDOWN)
    np.testing.assert_array_less(np.abs(solution.value), 1e-10)


@pytest.mark.parametrize(
    ("boundary", "shape"),
    some_fast(
        itertools.product(["dirichlet", "periodic"], [(1, 7), (2, 4, 6), (1, 3, 4, 5)]),
        [
            ("dirichlet", (2, 4, 6)),
            ("dirichlet", (1, 3, 4, 5)),
            ("periodic", (1, 7)),
            ("periodic", (2, 4, 6)),
        ],
    ),
)
def test_fast_transforms_equal_dense_lu(boundary, shape, x64):
    a, b = heat(shape, boundary), random(0, 2, *shape)
    spectral = prdp.solve(a, b, solver=prdp.Direct("spectral"), iterations=1).value
    np.testing.assert_allclose(spectral, dense_solution(a, b), atol=1e-14)


def test_the_spectral_factorisation_is_refused_where_modes_do_not_diagonalise():
    with pytest.raises(ValueError, match="factorisation='spectral'"):
        prdp.solve(OPERATORS["upwind_periodic"](), jnp.ones(9), solver=prdp.Direct("spectral"), iterations=1)


@pytest.mark.parametrize("solver", ["jacobi", "bicgstab"])
def test_k_is_traced(solver):
    traces, case = [], SOLVERS[solver]

    @jax.jit
    def run(b, k):
        traces.append(1)
        a = heat((1, 9), "dirichlet", 0.2)
        return prdp.solve(a, b, solver=case.solver, iterations=k).iterations

    b = random(0, 1, 9)
    assert [int(run(b, k)) for k in (1, 2, 3, 1000)][:3] == [1, 2, 3]
    assert len(traces) == 1


@pytest.mark.parametrize(
    "solver",
    some_fast(SOLVERS, ["jacobi", "conjugate_gradient", "bicgstab_diagonal", "direct"]),
)
def test_a_system_does_not_notice_its_batch(solver, x64):
    case, a = SOLVERS[solver], heat((1, 9), "dirichlet", 0.2)
    smooth = jnp.sin(jnp.pi * jnp.arange(1, 10) / 10)[None]
    b = jnp.stack([smooth, random(0, 1, 9), jnp.zeros((1, 9)), 1e-9 * random(1, 1, 9)])
    together = prdp.solve(a, b, solver=case.solver, iterations=500, tolerance=1e-8)
    for i in range(4):
        alone = prdp.solve(a, b[i], solver=case.solver, iterations=500, tolerance=1e-8)
        assert int(together.iterations[i]) == int(alone.iterations)
        np.testing.assert_allclose(together.value[i], alone.value, rtol=1e-14, atol=1e-30)


def test_the_iteration_leaves_at_the_first_residual_below_the_tolerance(x64):
    a, b = heat((1, 9), "dirichlet", 0.2), random(0, 1, 9)
    solution = prdp.solve(a, b, iterations=500, tolerance=1e-6)
    k = int(solution.iterations)
    before = prdp.solve(a, b, iterations=k - 1, tolerance=0.0).residual_norm
    after = prdp.solve(a, b, iterations=k, tolerance=0.0).residual_norm
    assert float(after) < 1e-6 <= float(before)


@pytest.mark.parametrize("solver", some_fast(SOLVERS, ["jacobi", "conjugate_gradient", "gmres_3_diagonal"]))
def test_a_zero_right_hand_side_is_converged_at_once_whatever_the_guess(solver):
    a, options = heat((1, 9), "dirichlet"), {"solver": SOLVERS[solver].solver, "guess": jnp.ones((1, 9))}
    solution = prdp.solve(a, jnp.zeros((1, 9)), iterations=9, **options)
    assert int(solution.iterations) == 0
    assert Status(int(solution.status)) is Status.CONVERGED
    np.testing.assert_array_equal(solution.value, 0)


@pytest.mark.parametrize(
    "solver",
    some_fast(
        SOLVERS,
        SOLVERS.keys() - {"damped_jacobi", "steepest_descent_recomputed", "gmres_2", "gmres_3", "bicgstab"},
    ),
)
def test_right_hand_sides_that_are_zero_not_finite_tiny_or_huge(solver):
    a = heat((1, 9), "dirichlet")

    def solve(rhs, **options):
        rhs = jnp.asarray(np.asarray(rhs)[:, None], jnp.float32)
        return jax.device_get(prdp.solve(a, rhs, solver=SOLVERS[solver].solver, **options))

    rhs = np.ones((5, 9))
    rhs[0] = 0
    rhs[2:, 4] = np.nan, np.inf, -np.inf
    solution = solve(rhs, iterations=400)
    # Zero is converged at once.
    assert solution.iterations[0] == 0
    np.testing.assert_array_equal(solution.value[0], 0)
    # What is not finite has no value, and spares the others.
    np.testing.assert_array_equal(solution.status, [Status.CONVERGED] * 2 + [Status.NON_FINITE] * 3)
    assert np.isfinite(solution.value[1]).all()
    assert np.isnan(solution.value[2:]).all()
    # Solutions scale: float32 inner products would underflow at 1e-30 and overflow at 1e30.
    scales = np.float32([1e-30, 1e-12, 1, 1e12, 1e30])[:, None]
    values = solve(scales * np.asarray(random(0, 9), np.float32), iterations=6, tolerance=0.0).value[:, 0]
    np.testing.assert_allclose(values / scales, np.tile(values[2], (5, 1)), rtol=3e-5, atol=1e-6)


def test_a_divergent_iteration_is_reported_as_such():
    a = Dense(jnp.asarray([[1.0, 3.0], [3.0, 1.0]]), (2,))
    solution = prdp.solve(a, jnp.ones(2), solver=prdp.Jacobi(), iterations=10_000)
    assert Status(int(solution.status)) is Status.DIVERGED
    assert np.isnan(solution.value).all()
    # It ends where rounding errors exceed the right-hand side: 3^15 > 2^23.
    assert int(solution.iterations) == 15


def test_a_zero_on_the_diagonal_is_singular_for_jacobi():
    a = Dense(jnp.asarray([[0.0, 1.0], [1.0, 1.0]]), (2,), True)
    solution = prdp.solve(a, jnp.ones(2), solver=prdp.Jacobi(), iterations=5)
    assert Status(int(solution.status)) is Status.SINGULAR
    assert int(solution.iterations) == 0
    assert np.isnan(solution.value).all()


@pytest.mark.parametrize("factorisation", ["dense", "spectral"])
def test_a_singular_matrix_is_singular_for_the_direct_solver(factorisation):
    a = laplacian((8,), 1, 1.0, "periodic")
    solution = prdp.solve(a, jnp.ones(8), solver=prdp.Direct(factorisation), iterations=1)
    assert Status(int(solution.status)) is Status.SINGULAR
    assert not float(solution.residual_norm) < 1e-5


@pytest.mark.parametrize("solver", [prdp.SteepestDescent(), prdp.ConjugateGradient()])
def test_a_direction_without_curvature_breaks_down(solver):
    a = Dense(jnp.asarray([[1.0, 0.0], [0.0, -1.0]]), (2,), True)
    solution = prdp.solve(a, jnp.ones(2), solver=solver, iterations=5)
    assert Status(int(solution.status)) is Status.BREAKDOWN
    assert np.isfinite(solution.value).all()


def test_a_good_guess_saves_iterations_and_costs_one_product(x64):
    a, b = heat((1, 9), "dirichlet"), random(0, 2, 1, 9)
    exact = dense_solution(a, b)
    solution = prdp.solve(a, b, iterations=50, guess=jnp.asarray(exact))
    np.testing.assert_array_equal(solution.iterations, 0)
    np.testing.assert_array_equal(solution.matvecs, 1)
    np.testing.assert_array_equal(solution.value, exact)


def test_a_field_of_operators_solves_each_sample_with_its_own(x64):
    strength = jnp.asarray([0.01, 0.2, 1.0]).reshape(3, 1)
    a = identity((9,), 1, "dirichlet") - strength * laplacian((9,), 1, 1.0, "dirichlet")
    assert isinstance(a, Stencil)
    one_rhs = random(0, 9)
    solution = prdp.solve(a, one_rhs, iterations=500, tolerance=1e-12)
    assert solution.value.shape == (3, 9)
    np.testing.assert_allclose(
        solution.value, dense_solution(a, jnp.broadcast_to(one_rhs, (3, 9))), rtol=1e-10
    )
    assert len(set(map(int, solution.iterations))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iterations": 0}, "iterations=0: allowed is an integer >= 1"),
        ({"iterations": 3, "tolerance": -1.0}, "tolerance=-1.0"),
        ({"iterations": 3, "rhs": jnp.ones(4)}, r"rhs has shape \(4,\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    arguments = {"rhs": jnp.ones((1, 9)), **arguments}
    with pytest.raises(ValueError, match=message):
        prdp.solve(heat((1, 9), "dirichlet"), **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prdp.Jacobi(relaxation=2.0), "relaxation=2.0"),
        (lambda: prdp.Richardson(step_size=0.0), "step_size=0"),
        (lambda: prdp.GMRES(restart=0), "restart=0"),
        (lambda: prdp.SteepestDescent("exact"), "residual='exact'"),
        (lambda: prdp.Direct("cholesky"), "factorisation='cholesky'"),
        (lambda: prdp.Implicit(adjoint_iterations=0), "adjoint_iterations=0"),
        (lambda: prdp.Implicit(adjoint_tolerance=1.0), "adjoint_tolerance=1.0"),
        (lambda: prdp.Unrolled(iterations_cap=0), "iterations_cap=0"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_status_says_what_to_try():
    for status in Status:
        assert len(status.advice) > 20
        assert status.advice.endswith(".")
    assert [s.has_value for s in Status] == [True] * 5 + [False] * 5


@pytest.mark.parametrize(
    "solver",
    some_fast(
        ["jacobi", "conjugate_gradient", "gmres_3", "bicgstab", "steepest_descent"],
        ["jacobi", "conjugate_gradient"],
    ),
)
def test_float32_reaches_the_papers_tolerance_on_spd_matrices(solver):
    a = Dense(jnp.asarray(spd_matrix(30), jnp.float32), (30,), True)
    rhs = jnp.asarray(random(0, 4, 30), jnp.float32)
    solution = prdp.solve(a, rhs, solver=SOLVERS[solver].solver, iterations=999)
    np.testing.assert_array_equal(solution.status, Status.CONVERGED)
    assert solution.value.dtype == jnp.float32
