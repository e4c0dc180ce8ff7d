"""The features that `compare_features.py` compares: each a function that raises unless a library has it.

Every one is run and its numbers are compared with dense algebra.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import prdp

N = 8
LIBRARIES = ("prdp", "lineax", "jax.scipy", "jaxopt")
_random = np.random.default_rng(0)
SYMMETRIC = np.diag(np.arange(4.0, 4 + N)) - np.eye(N, k=1) - np.eye(N, k=-1)
GENERAL = SYMMETRIC + np.triu(_random.uniform(size=(N, N)), 1)
RHS = _random.standard_normal(N)

Solve = Callable[..., Any]


def check(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    """Raise an error if two results differ."""
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=tolerance, atol=tolerance)


def lineax() -> Any:
    """Return the module, or raise `ModuleNotFoundError`."""
    return importlib.import_module("lineax")


def jaxopt() -> Any:
    """Return the module, or raise `ModuleNotFoundError`."""
    return importlib.import_module("jaxopt")


def ours(matrix: Any, b: Any, solver: Any = prdp.PCG(), symmetric: bool = True, **options: Any) -> Any:
    """Solve with a dense matrix by prdp."""
    arguments: dict[str, Any] = {"solver": solver, "iterations": 60, "tolerance": 1e-12} | options
    return prdp.solve(prdp.Dense(jnp.asarray(matrix), (N,), symmetric), jnp.asarray(b), **arguments).value


def ours_function(
    function: Solve, b: Any, parameters: Any = None, symmetric: bool = True, **options: Any
) -> Any:
    """Solve with a function of `(parameters, u)` by prdp."""
    arguments: dict[str, Any] = {
        "solver": prdp.ConjugateGradient(),
        "iterations": 60,
        "tolerance": 1e-12,
    } | options
    return prdp.solve(
        prdp.FunctionOperator(parameters, function, (N,), symmetric), jnp.asarray(b), **arguments
    ).value


def theirs(matrix: Any, b: Any, solver: str = "CG", symmetric: bool = True, **options: Any) -> Any:
    """Solve with a dense matrix by lineax."""
    lx = lineax()
    tags = lx.positive_semidefinite_tag if symmetric else ()
    made = getattr(lx, solver)(**({"rtol": 1e-12, "atol": 1e-12} if solver != "LU" else {}))
    return lx.linear_solve(
        lx.MatrixLinearOperator(jnp.asarray(matrix), tags), jnp.asarray(b), made, **options
    ).value


def theirs_function(function: Solve, b: Any, **options: Any) -> Any:
    """Solve with a function by lineax."""
    lx = lineax()
    structure = jax.eval_shape(lambda: b)
    operator = lx.FunctionLinearOperator(function, structure, lx.positive_semidefinite_tag)
    return lx.linear_solve(operator, b, lx.CG(rtol=1e-12, atol=1e-12), **options).value


def scipy(matrix: Any, b: Any, solver: str = "cg", **options: Any) -> Any:
    """Solve by jax.scipy, with a matrix or a function."""
    operator = matrix if callable(matrix) else jnp.asarray(matrix)
    return getattr(jax.scipy.sparse.linalg, solver)(operator, b, tol=1e-12, **options)[0]


def opt(matrix: Any, b: Any, solver: str = "solve_cg", **options: Any) -> Any:
    """Solve by jaxopt, with a matrix or a function."""
    product = matrix if callable(matrix) else (lambda u: jnp.asarray(matrix) @ u)
    options = {"tol": 1e-12} | options if solver != "solve_lu" else options
    return getattr(jaxopt().linear_solve, solver)(product, b, **options)


SOLVES: dict[str, Solve] = {"prdp": ours, "lineax": theirs, "jax.scipy": scipy, "jaxopt": opt}
FUNCTIONS: dict[str, Solve] = {"lineax": theirs_function, "jax.scipy": scipy, "jaxopt": opt}
NAMES: dict[str, dict[str, Any]] = {
    "GMRES": {"prdp": prdp.GMRES(8), "lineax": "GMRES", "jax.scipy": "gmres", "jaxopt": "solve_gmres"},
    "BiCGStab": {
        "prdp": prdp.BiCGStab(),
        "lineax": "BiCGStab",
        "jax.scipy": "bicgstab",
        "jaxopt": "solve_bicgstab",
    },
    "a direct solve": {"prdp": prdp.Direct(), "lineax": "LU", "jax.scipy": "lu", "jaxopt": "solve_lu"},
}
EXACT = np.linalg.solve(SYMMETRIC, RHS)


def general(name: str, library: str) -> None:
    """A nonsymmetric system by a solver of that name."""
    solver = NAMES[name][library]
    options = {"symmetric": False} if library in ("prdp", "lineax") else {}
    check(SOLVES[library](GENERAL, jnp.asarray(RHS), solver, **options), np.linalg.solve(GENERAL, RHS))


def function(library: str, transform: Callable[[Solve], Solve] = lambda f: f) -> None:
    """A function `u -> A u` with the matrix as traced parameter, transformed: values against dense algebra."""

    def solve(b: Any, matrix: Any) -> Any:
        if library == "prdp":
            return ours_function(lambda m, u: m @ u, b, matrix)
        product = lambda u: matrix @ u  # noqa: E731
        return FUNCTIONS[library](product, b)

    arguments = jnp.asarray(RHS), jnp.asarray(SYMMETRIC)
    found = transform(solve)(*arguments)
    expected = transform(lambda b, matrix: jnp.linalg.solve(matrix, b))(*arguments)
    jax.tree.map(check, found, expected)


def gradient(solve: Solve) -> Solve:
    """Gradients with respect to both."""
    return jax.grad(lambda *x: jnp.sum(solve(*x) ** 3), (0, 1))


def tangent(solve: Solve) -> Solve:
    """The forward derivative along the arguments."""
    return lambda *x: jax.jvp(solve, x, x)


def curvature(solve: Solve) -> Solve:
    """The Hessian with respect to the right-hand side."""
    return lambda b, a: jax.hessian(lambda c: jnp.sum(solve(c, a) ** 3))(b)


def batch(solve: Solve) -> Solve:
    """Three right-hand sides by `vmap`."""
    return lambda b, a: jax.vmap(solve, (0, None))(jnp.stack([b, 2 * b, -b]), a)


def pytree(library: str) -> None:
    """Unknowns in a dictionary of two arrays."""
    diagonal, b = {"u": jnp.arange(1.0, 4), "v": jnp.arange(2.0, 4)}, {"u": jnp.ones(3), "v": jnp.ones(2)}
    product = partial(jax.tree.map, jnp.multiply, diagonal)
    if library == "prdp":
        found = prdp.solve(
            product, b, solver=prdp.ConjugateGradient(), iterations=None, tolerance=1e-12, symmetric=True
        ).value
    else:
        found = FUNCTIONS[library](product, b)
    jax.tree.map(lambda x, d: check(x, 1 / d), found, diagonal)


def preconditioned(library: str) -> None:
    """CG with the exact inverse as preconditioner: right after one iteration."""
    inverse = np.linalg.inv(SYMMETRIC)
    if library == "prdp":
        recipe = prdp.Approximate(prdp.Dense(jnp.asarray(inverse), (N,), True))
        found = ours(SYMMETRIC, RHS, prdp.PCG(recipe), iterations=1)
    elif library == "lineax":
        lx = lineax()
        given = lx.MatrixLinearOperator(jnp.asarray(inverse), lx.positive_semidefinite_tag)
        operator = lx.MatrixLinearOperator(jnp.asarray(SYMMETRIC), lx.positive_semidefinite_tag)
        cg = lx.CG(rtol=1e-10, atol=1e-10, max_steps=5)  # it counts the steps that check
        found = lx.linear_solve(operator, jnp.asarray(RHS), cg, options={"preconditioner": given}).value
    elif library == "jax.scipy":
        found = scipy(SYMMETRIC, RHS, M=jnp.asarray(inverse), maxiter=1)
    else:
        found = opt(SYMMETRIC, jnp.asarray(RHS), M=lambda v: jnp.asarray(inverse) @ v, maxiter=1)
    check(found, EXACT)


def complex_numbers(library: str) -> None:
    """A complex matrix by GMRES, and the gradient of a real loss."""
    matrix, b = jnp.asarray(GENERAL + 1j * SYMMETRIC), jnp.asarray(RHS + 1j)
    solver = NAMES["GMRES"][library]

    def solved(m: Any, b: Any) -> Any:
        if library == "prdp":
            return prdp.solve(m, b, solver=prdp.GMRES(2 * N), iterations=20, tolerance=1e-12).value
        options = {"symmetric": False} if library == "lineax" else {}
        return SOLVES[library](m, b, solver, **options)

    def results(solve: Any) -> Any:
        gradients = jax.grad(lambda *x: jnp.sum(jnp.abs(solve(*x)) ** 2), (0, 1))(matrix, b)
        return solve(matrix, b), *gradients

    jax.tree.map(check, results(solved), results(jnp.linalg.solve))


def sparse(library: str) -> None:
    """A SciPy sparse matrix as it is."""
    matrix = importlib.import_module("scipy.sparse").csr_array(SYMMETRIC)
    if library == "prdp":
        found = prdp.solve(matrix, jnp.asarray(RHS), solver=prdp.GMRES(N), tolerance=1e-12).value
    elif library == "lineax":
        lx = lineax()
        found = lx.linear_solve(
            lx.MatrixLinearOperator(matrix), jnp.asarray(RHS), lx.GMRES(1e-12, 1e-12)
        ).value
    elif library == "jaxopt":
        found = jaxopt().linear_solve.solve_gmres(matrix, RHS)
    else:
        found, _ = jax.scipy.sparse.linalg.gmres(matrix, RHS)
    check(found, EXACT)


def least_squares(library: str) -> None:
    """A rectangular system by CG for its normal equations."""
    matrix = jnp.asarray(np.vstack([SYMMETRIC, GENERAL]))
    b = jnp.asarray(np.concatenate([RHS, RHS[::-1]]))
    product, right = (lambda u: matrix.T @ (matrix @ u)), matrix.T @ b
    if library == "prdp":
        found = prdp.solve(
            product, right, solver=prdp.ConjugateGradient(), symmetric=True, tolerance=1e-12
        ).value
    elif library == "jaxopt":
        found = opt(lambda u: matrix @ u, b, "solve_normal_cg", init=jnp.zeros(N))
    else:
        found = FUNCTIONS[library](product, right)
    check(found, jnp.linalg.lstsq(matrix, b)[0])


def multigrid(library: str) -> None:
    """Poisson's equation on 32^2 points to 1e-5 by at most 8 V-cycles."""
    if library != "prdp":
        module = {"lineax": lineax, "jax.scipy": lambda: jax.scipy.sparse.linalg, "jaxopt": jaxopt}[library]()
        raise AttributeError(getattr(module, "Multigrid", None) or module.multigrid)
    a = prdp.laplacian((32, 32), 2, 1 / 33, "dirichlet")
    solution = prdp.solve(a, jnp.ones((32, 32)), solver=prdp.Multigrid(), iterations=8)
    check(float(solution.residual_norm) < 1e-5, True)


def budget(library: str) -> None:
    """Gradients with K = 1 to 5 iterations, one compilation, and K = 5 better than K = 1."""
    traces: list[int] = []

    def error(k: Any, b: Any) -> Any:
        traces.append(1)
        if library == "prdp":
            return ours(SYMMETRIC, b, prdp.ConjugateGradient(), iterations=k, tolerance=0.0)
        if library == "lineax":
            lx = lineax()
            operator = lx.MatrixLinearOperator(jnp.asarray(SYMMETRIC), lx.positive_semidefinite_tag)
            return lx.linear_solve(operator, b, lx.CG(1e-12, 1e-12, max_steps=k), throw=False).value
        return SOLVES[library](SYMMETRIC, b, maxiter=k)

    run = jax.jit(lambda k, b: jax.vjp(lambda c: error(k, c), b)[1](b)[0])
    first, last = (run(k, jnp.asarray(RHS)) for k in (1, 5))
    check(len(traces), 1)
    check(np.abs(last - EXACT).max() < 0.1 * np.abs(first - EXACT).max(), True)


def outcome(library: str) -> None:
    """The outcome of a solve that ran out of iterations is reported, with the number of iterations."""
    if library == "prdp":
        solver: dict[str, Any] = {"solver": prdp.ConjugateGradient(), "iterations": 2, "tolerance": 1e-12}
        solution = prdp.solve(prdp.Dense(jnp.asarray(SYMMETRIC), (N,), True), jnp.asarray(RHS), **solver)
        check([int(solution.status), int(solution.iterations)], [prdp.Status.BUDGET_SPENT, 2])
    elif library == "lineax":
        lx = lineax()
        operator = lx.MatrixLinearOperator(jnp.asarray(SYMMETRIC), lx.positive_semidefinite_tag)
        solution = lx.linear_solve(operator, jnp.asarray(RHS), lx.CG(1e-12, 1e-12, max_steps=2), throw=False)
        check(bool(solution.result == lx.RESULTS.successful), False)
        check(int(solution.stats["num_steps"]), 2)
    elif library == "jax.scipy":
        _, info = jax.scipy.sparse.linalg.cg(jnp.asarray(SYMMETRIC), jnp.asarray(RHS), tol=1e-12, maxiter=2)
        check(info is not None and int(info) != 0, True)
    else:
        _, info = opt(SYMMETRIC, jnp.asarray(RHS), maxiter=2)
        check(int(info) != 0, True)


FEATURES: dict[str, Callable[[str], None]] = {
    "dense matrix, CG": lambda library: check(SOLVES[library](SYMMETRIC, jnp.asarray(RHS)), EXACT),
    **{name: partial(general, name) for name in NAMES},
    "function `u -> A u`": function,
    "a SciPy sparse matrix": sparse,
    "complex matrices": complex_numbers,
    "pytrees of unknowns": pytree,
    "least squares by CG": least_squares,
    "preconditioned CG": preconditioned,
    "multigrid": multigrid,
    "batches by `vmap`": partial(function, transform=batch),
    "gradients by `A` and `b`": partial(function, transform=gradient),
    "forward mode (`jvp`)": partial(function, transform=tangent),
    "Hessian": partial(function, transform=curvature),
    "gradients of K iterations, K traced": budget,
    "outcome and iterations reported": outcome,
}
