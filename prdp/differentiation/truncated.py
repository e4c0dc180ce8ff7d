"""Truncated unrolling: reverse only the last iterations."""

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
from prdp.linalg import Operator
from prdp.linalg.norms import expand
from prdp.solvers import Preconditioned, Record, Solver


@dataclass(frozen=True)
class Truncated(Mode):
    """Backpropagate through the last `steps` iterations of each system; the iterate before them is a constant.

    Of the state before them the residual `b - A u` is not stopped, only its `u`. Where a system ran no more than
    `steps` iterations this is `Unrolled`. The buffer holds `steps` states, whatever K. For a stationary
    iteration of rate rho the error of the gradient falls like `rho^steps`.

    Args:
        steps: K', at least 1.

    Raises:
        ValueError: `steps` is below 1.

    Source: Shaban et al. 2019, *Truncated back-propagation for bilevel optimization*.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1)

    def check(self, solver: Solver, operator: Operator) -> None:
        """Refuse a preconditioned solver, which iterates on another unknown than `u`."""
        if isinstance(solver, Preconditioned):
            raise ValueError("truncated differentiation is not defined for a preconditioned solver")

    def run(self, solver: Solver, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
        """Solve, with the truncated VJP attached to `value`."""
        return _solve(solver, self.steps, problem, controls, cost)


@dataclass(frozen=True)
class OneStep(Truncated):
    """Differentiate the last iteration alone, from a constant `u^[K-1]`: `Truncated` with one step.

    Source: Bolte et al. 2023, *One-step differentiation of iterative algorithms*.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps != 1 or self.steps is True:
            raise ValueError(f"steps={self.steps}: allowed is 1; Truncated takes more")


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(solver: Solver, kept: int, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solver, solved.result, solved.value, problem.guess is not None)


def _forward(
    solver: Solver, kept: int, problem: Problem, controls: Controls, cost: AdjointCost
) -> tuple[Solution, Any]:
    solved = solve_scaled(solver, problem, controls, record=Record(kept, ring=True))
    result = solved.result
    solution = package(solver, result, solved.value, problem.guess is not None)
    return solution, (problem, solved.scale, result.state, result.history, result.iterations, result.trips)


def _backward(solver: Solver, kept: int, saved: Any, cotangent: Solution) -> tuple:
    problem, scale, last, history, counts, trips = saved
    reversal = Reversal(solver, problem, scale)

    def before(iteration: Any) -> Any:
        """Return the state of each system before its own iteration."""
        slot = iteration % kept

        def pick(h: Any) -> Any:
            index = expand(slot, h.ndim - 1 - slot.ndim)[None]
            return jnp.take_along_axis(h, index, axis=0)[0]

        return jax.tree.map(pick, history)

    def body(j: Any, carry: Carry) -> Carry:
        # Counted from the end of each system, whose numbers of iterations differ.
        return reversal.step(before(counts - 1 - j), j < counts, carry)

    carry = jax.lax.fori_loop(0, jnp.minimum(trips, kept), body, reversal.end(last, cotangent.value))
    whole = counts <= kept
    carry = reversal.residual(before(counts - kept).value, ~whole, carry)
    state_bar, operator_bar, rhs_bar = carry
    carry = (reversal.masked(whole, state_bar), operator_bar, rhs_bar)
    return reversal.begin(carry), None, adjoint_cost(solver, jnp.minimum(jnp.max(counts), kept))


_solve.defvjp(_forward, _backward)
