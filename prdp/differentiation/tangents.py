"""Forward mode through a solver's loop: the tangents of its iterates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prdp.differentiation.base import Controls, Problem, Solution, is_moving, settled
from prdp.differentiation.linear_maps import is_zero
from prdp.linalg import vary_alike
from prdp.linalg.norms import expand
from prdp.solvers import Solver
from prdp.solvers.iterate import select


class Loop(NamedTuple):
    """The results of a forward loop that its backward pass uses.

    Attributes:
        last: the last state.
        history: the states stored by the mode's `Record`.
        counts: iterations per system, `(*batch,)`.
        trips: passes of the loop.
    """

    last: Any
    history: Any
    counts: Any
    trips: Any

    @property
    def largest(self) -> Any:
        """The maximum number of iterations in this batch, excluding other `vmap` lanes of the same loop."""
        return jnp.max(self.counts, initial=0)


class Saved(NamedTuple):
    """What a forward loop leaves for its derivatives: the problem, its solution, the scale `s`, and the loop."""

    problem: Problem
    controls: Controls
    solution: Solution
    scale: Any
    loop: Loop


def is_undefined(solver: Solver, loop: Loop, controls: Controls) -> Any:
    """Whether a system has no derivative: a Krylov method that took no iteration, because its residual was zero."""
    return (loop.counts == 0) & (controls.iterations > 0) & (not solver.is_linear)


def push_forward(solver: Solver, mode: Any, saved: Saved, tangents: tuple[Problem, Any]) -> Any:
    """Return the tangent of the solution, from the tangents of the problem: the loop again, each step with its tangent.

    With `mode.kept`, the iterate before the last `kept` iterations of a system is a constant.
    """
    problem, controls, solution, scale, loop = saved
    moved, _ = tangents
    operator, operator_dot = jax.jvp(solver.prepare, (problem.operator,), (moved.operator,))
    rhs, rhs_dot = problem.rhs * scale, moved.rhs * scale
    guess = None if problem.guess is None else problem.guess * scale
    guess_dot = None if moved.guess is None else moved.guess * scale
    start = jax.jvp(solver.init, (operator, rhs, guess), (operator_dot, rhs_dot, guess_dot))
    state, state_dot = vary_alike(start[0], rhs), start[1]
    leaves, tree = jax.tree.flatten(state_dot)
    live = [i for i, x in enumerate(leaves) if not is_zero(x)]

    # A loop cannot carry the tangents of integers.
    def real(state_dot: Any) -> Any:
        found = jax.tree.leaves(state_dot)
        return [found[i] for i in live]

    def whole(carried: Any) -> Any:
        given = list(leaves)
        for i, x in zip(live, carried, strict=True):
            given[i] = x
        return jax.tree.unflatten(tree, given)

    def cut(state: Any) -> Any:
        """Return the tangents of a state whose value is constant: only its residual `b - A u` moves."""
        _, residual_dot = jax.jvp(
            lambda a, b: b - a.mv(state.value), (operator, rhs), (operator_dot, rhs_dot)
        )
        nothing = whole([jnp.zeros_like(leaves[i]) for i in live])
        return real(nothing._replace(residual=residual_dot))

    def body(k: Any, carry: Any) -> Any:
        state, carried = carry
        if mode.kept is not None:
            carried = select((k > 0) & (k == loop.counts - mode.kept), cut(state), carried)
        at, moving = (operator, rhs, state), (operator_dot, rhs_dot, whole(carried))
        new, new_dot = jax.jvp(solver.step, at, moving)
        active = k < loop.counts
        return select(active, new, state), select(active, real(new_dot), carried)

    first = state, [vary_alike(x, rhs) for x in real(state_dot)]
    state, carried = jax.lax.fori_loop(0, loop.trips, body, first)
    _, image = jax.jvp(solver.solution, (operator, state), (operator_dot, whole(carried)))
    moving = is_moving(moved, problem)
    rank = problem.operator.rank
    image = jnp.where(expand(is_undefined(solver, loop, controls), rank), jnp.nan, image / scale)
    return settled(image, moving, solution.status)
