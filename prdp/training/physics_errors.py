"""How far a solution of K iterations is from the converged one, K by K."""

from typing import Any

import jax
import jax.numpy as jnp

from prdp.linalg import Operator, norm, relative_norm
from prdp.solvers import Solver, iterate
from prdp.solvers.iterate import select


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
        rank, converged = operator.rank, tolerance / 100
        rhs_norm = norm(rhs, rank)
        final = iterate(solver, operator, rhs, None, 2 * iterations, converged).state
        solution = solver.solution(operator, final)
        size = norm(solution, rank)

        def body(state: Any, _: None) -> Any:
            # As in `iterate`: a step beyond the floor of the precision may fail.
            residual = relative_norm(state.residual, rhs_norm, rank)
            active = (residual >= converged) & (residual > 0) & (state.failure == 0)
            state = select(active, solver.step(operator, rhs, state), state)
            error = relative_norm(solver.solution(operator, state) - solution, size, rank)
            return state, jnp.mean(error**2 if squared else error)

        return jax.lax.scan(body, solver.init(operator, rhs, None), length=iterations)[1]

    return tuple(float(error) for error in jax.device_get(measure(operator, rhs)))
