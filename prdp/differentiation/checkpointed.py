"""Unrolled differentiation that recomputes iterations between snapshots."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.checks import integer
from prdp.differentiation.base import (
    AdjointCost,
    Controls,
    Problem,
    Solution,
    adjoint_cost,
    package,
    solve_scaled,
)
from prdp.differentiation.reverse import Carry, Reversal
from prdp.differentiation.unrolled import Unrolled
from prdp.solvers import Record, Solver
from prdp.solvers.iterate import select


@dataclass(frozen=True)
class Checkpointed(Unrolled):
    """The gradient of `Unrolled` in less memory: room for `snapshots + iterations_cap / snapshots` states.

    Every `iterations_cap / snapshots` iterations the forward loop writes its state to a buffer; the backward loop
    runs each segment between two snapshots again before it reverses it. That costs the iterations once more.

    Args:
        iterations_cap: room for this many iterations.
        snapshots: how many, or `None` for the square root of `iterations_cap`, which takes least memory.

    Raises:
        ValueError: `iterations_cap` or `snapshots` is below 1.

    Source: Griewank 1992, *Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
    differentiation*, with two levels instead of the logarithmic number, since K is known only at run time.
    """

    snapshots: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("snapshots", self.snapshots, 1, null=True)

    def run(self, solver: Solver, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
        """Solve, with the unrolled VJP attached to `value`."""
        assert self.iterations_cap is not None
        snapshots = self.snapshots or math.ceil(math.sqrt(self.iterations_cap))
        stride = math.ceil(self.iterations_cap / snapshots)
        return _solve(solver, (snapshots, stride), problem, controls, cost)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, layout: tuple[int, int], problem: Problem, controls: Controls, cost: AdjointCost
) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solver, solved.result, solved.value, problem.guess is not None, layout[0] * layout[1])


def _forward(
    solver: Solver, layout: tuple[int, int], problem: Problem, controls: Controls, cost: AdjointCost
) -> tuple[Solution, Any]:
    solved = solve_scaled(solver, problem, controls, record=Record(*layout))
    result = solved.result
    solution = package(solver, result, solved.value, problem.guess is not None, layout[0] * layout[1])
    return solution, (problem, solved.scale, result.state, result.history, result.iterations, result.trips)


def _backward(solver: Solver, layout: tuple[int, int], saved: Any, cotangent: Solution) -> tuple:
    problem, scale, last, history, counts, trips = saved
    reversal, stride = Reversal(solver, problem, scale), layout[1]

    def segment(i: Any, carry: Carry) -> Carry:
        first = ((trips - 1) // stride - i) * stride

        def again(state: Any, j: Any) -> tuple[Any, Any]:
            step = solver.step(reversal.operator, reversal.rhs, state)
            return select(first + j < counts, step, state), state

        start = jax.tree.map(lambda h: h[first // stride], history)
        _, states = jax.lax.scan(again, start, jnp.arange(stride))

        def body(j: Any, carry: Carry) -> Carry:
            k = stride - 1 - j
            return reversal.step(jax.tree.map(lambda h: h[k], states), first + k < counts, carry)

        return jax.lax.fori_loop(0, stride, body, carry)

    segments = (trips + stride - 1) // stride
    carry = jax.lax.fori_loop(0, segments, segment, reversal.end(last, cotangent.value))
    # Every iteration is run once more, and reversed.
    return reversal.begin(carry), None, adjoint_cost(solver, 2 * jnp.max(counts))


_solve.defvjp(_forward, _backward)
