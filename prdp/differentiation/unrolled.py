"""Unrolled differentiation: reverse exactly the iterations that ran, K traced."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.differentiation.base import (
    AdjointCost,
    Controls,
    Mode,
    Problem,
    Solution,
    adjoint_cost,
    package,
    solve_scaled,
)
from prdp.linalg.norms import expand
from prdp.solvers import Solver
from prdp.solvers.iterate import select


@dataclass(frozen=True)
class Unrolled(Mode):
    """Backpropagate through the iterations of each system, from its last to its first.

    The forward loop writes the state before every iteration to a buffer of `iterations_cap` states; the
    backward loop walks it in reverse with the VJP of one `solver.step`. Both are loops with a traced bound: K
    may change at every call, nothing is compiled again. Works for any solver and for parameters in `A`, in `b` and in
    the guess. Where K is a number at trace time it is also the cap.

    Args:
        iterations_cap: room for this many iterations. More than that gives the status `BUFFER_TOO_SMALL` and NaN.

    Raises:
        ValueError: `iterations_cap` is below 1.

    Source: paper, appendix C.2, eqs. 14-16.
    """

    iterations_cap: int | None = None

    def __post_init__(self) -> None:
        if self.iterations_cap is not None and self.iterations_cap < 1:
            raise ValueError(f"iterations_cap={self.iterations_cap}: allowed is an integer >= 1, or null")

    def prepare(self, iterations: Any) -> "Unrolled":
        """Return the mode with room for K iterations.

        Raises:
            ValueError: K is above the cap, or traced and no cap was given.
        """
        known = None if isinstance(iterations, jax.core.Tracer) else int(iterations)
        if self.iterations_cap is None:
            if known is None:
                raise ValueError("unrolled differentiation with a traced K needs iterations_cap")
            return Unrolled(known)
        if known is not None and known > self.iterations_cap:
            raise ValueError(f"iterations={known} is above iterations_cap={self.iterations_cap}")
        return self

    def run(self, solver: Solver, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
        """Solve, with the unrolled VJP attached to `value`."""
        assert self.iterations_cap is not None
        return _solve(solver, self.iterations_cap, problem, controls, cost)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(solver: Solver, room: int, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solver, solved.result, solved.value, problem.guess is not None, room)


def _forward(
    solver: Solver, room: int, problem: Problem, controls: Controls, cost: AdjointCost
) -> tuple[Solution, Any]:
    solved = solve_scaled(solver, problem, controls, record=room)
    result = solved.result
    solution = package(solver, result, solved.value, problem.guess is not None, room)
    saved = (problem, solved.scale, result.state, result.history, result.iterations, result.trips)
    return solution, saved


def _backward(solver: Solver, room: int, saved: Any, cotangent: Solution) -> tuple:
    problem, scale, last, history, counts, trips = saved
    operator, pull_back_prepared = jax.vjp(solver.prepare, problem.operator)
    rhs = problem.rhs * scale
    _, pull_back = jax.vjp(solver.solution, operator, last)
    operator_bar, state_bar = pull_back(cotangent.value / scale)

    def body(j: Any, carry: tuple) -> tuple:
        k = trips - 1 - j
        state_bar, operator_bar, rhs_bar = carry
        state = jax.tree.map(lambda h: h[k], history)
        active = k < counts
        _, pull_back = jax.vjp(solver.step, operator, rhs, state)
        # A system that had left by iteration k contributes nothing and passes its cotangent on.
        masked = jax.tree.map(lambda x: _mask(active, x), state_bar)
        da, db, ds = pull_back(masked)
        state_bar = select(active, _like(ds, state_bar), state_bar)
        return state_bar, _add(operator_bar, da), rhs_bar + db

    start = (state_bar, operator_bar, jnp.zeros_like(rhs))
    state_bar, operator_bar, rhs_bar = jax.lax.fori_loop(0, trips, body, start)

    guess = None if problem.guess is None else problem.guess * scale
    _, pull_back = jax.vjp(partial(_init, solver), operator, rhs, guess)
    da, db, dg = pull_back(state_bar)
    (problem_operator_bar,) = pull_back_prepared(_add(operator_bar, da))
    problem_bar = Problem(
        problem_operator_bar,
        (rhs_bar + db) * scale,
        None if guess is None else dg * scale,
    )
    return problem_bar, None, adjoint_cost(solver, trips)


def _init(solver: Solver, operator: Any, rhs: Any, guess: Any) -> Any:
    return solver.init(operator, rhs, guess)


def _is_float0(x: Any) -> bool:
    return getattr(x, "dtype", None) == jax.dtypes.float0


def _mask(active: Any, x: Any) -> Any:
    """Return `x` of the active systems and zero of the others; integers have no cotangent to mask."""
    if _is_float0(x):
        return x
    return jnp.where(expand(active, x.ndim - active.ndim), x, 0)


def _like(new: Any, old: Any) -> Any:
    return jax.tree.map(lambda n, o: o if _is_float0(o) else n, new, old)


def _add(a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: x if _is_float0(x) else x + y, a, b)


_solve.defvjp(_forward, _backward)
