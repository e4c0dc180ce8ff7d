"""Reversing a solver's loop: what all unrolled modes share."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.differentiation.base import Problem
from prdp.linalg.norms import expand
from prdp.solvers import Solver
from prdp.solvers.iterate import select

# Cotangents of a solver's state, of the prepared operator and of the scaled right-hand side.
Carry = tuple[Any, Any, Any]


class Reversal:
    """The backward pass through a loop on `s A u = s b`, from its end to its beginning.

    Args:
        solver: the iteration.
        problem: the unscaled problem.
        scale: s.
    """

    def __init__(self, solver: Solver, problem: Problem, scale: Any):
        self.solver, self.problem, self.scale = solver, problem, scale
        self.operator, self._pull_back_prepared = jax.vjp(solver.prepare, problem.operator)
        self.rhs = problem.rhs * scale
        self.guess = None if problem.guess is None else problem.guess * scale

    def end(self, last: Any, cotangent: Any) -> Carry:
        """Return the cotangents at the last state, for that of the solve's value."""
        _, pull_back = jax.vjp(self.solver.solution, self.operator, last)
        operator_bar, state_bar = pull_back(cotangent / self.scale)
        return state_bar, operator_bar, jnp.zeros_like(self.rhs)

    def step(self, state: Any, active: Any, carry: Carry) -> Carry:
        """Return the cotangents before an iteration from `state`; a system that is not active passes its own on."""
        state_bar, operator_bar, rhs_bar = carry
        _, pull_back = jax.vjp(self.solver.step, self.operator, self.rhs, state)
        da, db, ds = pull_back(self.masked(active, state_bar))
        state_bar = select(active, _like(ds, state_bar), state_bar)
        return state_bar, _add(operator_bar, da), rhs_bar + db

    def residual(self, value: Any, active: Any, carry: Carry) -> Carry:
        """Return the cotangents with that of the residual `b - A u` of a constant `u` passed on."""
        state_bar, operator_bar, rhs_bar = carry
        _, pull_back = jax.vjp(lambda a, b: b - a.mv(value), self.operator, self.rhs)
        da, db = pull_back(self.masked(active, state_bar.residual))
        return state_bar, _add(operator_bar, da), rhs_bar + db

    def begin(self, carry: Carry) -> Problem:
        """Return the cotangents of the problem, for those at the first state."""
        state_bar, operator_bar, rhs_bar = carry
        start = partial(_init, self.solver)
        _, pull_back = jax.vjp(start, self.operator, self.rhs, self.guess)
        da, db, dg = pull_back(state_bar)
        (problem_operator_bar,) = self._pull_back_prepared(_add(operator_bar, da))
        guess_bar = None if self.guess is None else dg * self.scale
        return Problem(problem_operator_bar, (rhs_bar + db) * self.scale, guess_bar)

    @staticmethod
    def masked(active: Any, state_bar: Any) -> Any:
        """Return the cotangents of the active systems, zero for the others."""
        return jax.tree.map(lambda x: _mask(active, x), state_bar)


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
