"""The distance of the solution after K iterations to the converged solution, for each K."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.linalg import Operator, norm, relative_norm
from prdp.solvers import Record, Solver, iterate
from prdp.solvers.iterate import never


def physics_errors(
    solver: Solver, operator: Operator, rhs: Any, iterations: int, tolerance: float, squared: bool = True
) -> tuple[float, ...]:
    """Return `mean_i ||u_i^[K] - u_i||^2 / ||u_i||^2` over the systems, for K = 1 to `iterations`.

    The errors have the units of the validation error (paper, eq. 56), so that both can be compared. Without `squared`
    they are means of relative norms. The reference `u` comes from the same solver, iterated to `tolerance / 100` with
    at most `2 * iterations` iterations. If `iterations` is K_epsilon, these suffice to reach the square of the
    tolerance or the limit of the precision. The error of a solver that is not iterative is `(0.0,)`.

    Args:
        solver: the solver.
        operator: `A`, for one system or a batch.
        rhs: `b`, `(systems, *shape)`.
        iterations: the largest K.
        tolerance: relative residual of a converged solve.
        squared: whether to average the squares of the relative norms.

    Returns:
        One error per K, nondimensional.
    """
    if not solver.is_iterative:
        return (0.0,)

    @jax.jit
    def measure(operator: Operator, rhs: Any) -> Any:
        operator = solver.prepare(operator)
        rank = operator.rank
        run = partial(iterate, solver, operator, rhs, None)
        solution = run(2 * iterations, tolerance / 100).value
        size = norm(solution, rank)

        def error(state: Any) -> Any:
            relative = relative_norm(solver.solution(operator, state) - solution, size, rank)
            return jnp.mean(relative**2 if squared else relative)

        # The record holds the error before each iteration, so entry k is the error after k iterations.
        solved = run(iterations, tolerance, never, Record(iterations, view=error))
        errors = jnp.append(solved.history[1:], error(solved.state))
        # If the loop ended early, the missing errors are those of the last iterate.
        return jnp.where(jnp.arange(1, iterations + 1) < solved.trips, errors, errors[-1])

    return tuple(float(error) for error in jax.device_get(measure(operator, rhs)))
