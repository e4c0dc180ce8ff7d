"""How far a solution of K iterations is from the converged one, K by K."""

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

    The units are those of the validation error (paper, eq. 56), so that both can be compared; without `squared`
    it is the mean of the relative norms. `u` is the same solver's, iterated to `tolerance / 100` with at most twice
    `iterations` steps: where `iterations` is K_epsilon, these reach the square of the tolerance or the floor of the
    precision. A solver that is not iterative has no error.
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

        # What is kept before iteration k is the error after k.
        solved = run(iterations, tolerance, never, Record(iterations, view=error))
        errors = jnp.append(solved.history[1:], error(solved.state))
        # Those that the loop did not get to are the last one's.
        return jnp.where(jnp.arange(1, iterations + 1) < solved.trips, errors, errors[-1])

    return tuple(float(error) for error in jax.device_get(measure(operator, rhs)))
