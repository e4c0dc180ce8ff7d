"""Unrolled differentiation: reverse exactly the iterations that ran, K traced."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.checks import integer
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
from prdp.differentiation.reverse import Carry, Reversal
from prdp.solvers import Record, Solver


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
        integer("iterations_cap", self.iterations_cap, 1, null=True)

    def prepare(self, iterations: Any) -> "Unrolled":
        """Return the mode with room for K iterations.

        Raises:
            ValueError: K is above the cap, or traced and no cap was given.
        """
        known = None if isinstance(iterations, jax.core.Tracer) else int(iterations)
        if self.iterations_cap is None:
            if known is None:
                raise ValueError("unrolled differentiation with a traced K needs iterations_cap")
            return dataclasses.replace(self, iterations_cap=known)
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
    solved = solve_scaled(solver, problem, controls, record=Record(room))
    result = solved.result
    solution = package(solver, result, solved.value, problem.guess is not None, room)
    saved = (problem, solved.scale, result.state, result.history, result.iterations, result.trips)
    return solution, saved


def _backward(solver: Solver, room: int, saved: Any, cotangent: Solution) -> tuple:
    problem, scale, last, history, counts, trips = saved
    reversal = Reversal(solver, problem, scale)

    def body(j: Any, carry: Carry) -> Carry:
        k = trips - 1 - j
        # A system that had left by iteration k contributes nothing and passes its cotangent on.
        return reversal.step(jax.tree.map(lambda h: h[k], history), k < counts, carry)

    carry = jax.lax.fori_loop(0, trips, body, reversal.end(last, cotangent.value))
    return reversal.begin(carry), None, adjoint_cost(solver, jnp.max(counts))


_solve.defvjp(_forward, _backward)
