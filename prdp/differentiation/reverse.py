"""Reversing a solver's loop: one backward pass for all modes that differentiate the iterations themselves."""

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from prdp.differentiation.base import (
    AdjointStats,
    Backward,
    Controls,
    Mode,
    Problem,
    Solution,
    backward,
    has_value,
    package,
    solve_scaled,
)
from prdp.differentiation.implicit import Implicit
from prdp.linalg import promoting, vary_alike
from prdp.linalg.norms import expand
from prdp.solvers import Record, Solver, Status
from prdp.solvers.iterate import never, select

# Cotangents of a solver's state, of the prepared operator and of the scaled right-hand side.
Carry = tuple[Any, Any, Any]


class Loop(NamedTuple):
    """What a forward loop leaves for its backward pass.

    Attributes:
        last: the last state.
        history: what the mode's `Record` kept.
        counts: iterations of each system.
        trips: passes of the loop.
    """

    last: Any
    history: Any
    counts: Any
    trips: Any

    @property
    def largest(self) -> Any:
        """The most iterations of a system of this batch, whoever shares its loop."""
        return jnp.max(self.counts, initial=0)


class ReverseMode(Mode):
    """A mode whose gradient is that of the K-step map `P_K`, or of its last steps.

    The solve takes all K steps, whatever the tolerance, which decides the status alone: a map that ends at the
    tolerance has another derivative, which is zero where no iteration ran (at `b = 0`, or from a good guess). A system
    whose iteration fails or breaks down is frozen there.

    Where the first residual is exactly zero a Krylov method has no derivative: the gradient is NaN and the adjoint's
    status `NOT_DIFFERENTIABLE`. A solver that is not iterative is differentiated by `Implicit`, which is the same.
    """

    leaves_early: ClassVar[bool] = False

    @property
    @abstractmethod
    def record(self) -> Record:
        """Which states the forward loop keeps."""

    @property
    def room(self) -> int | None:
        """The largest K that the record has room for; `None` where it has for any."""
        return None

    @abstractmethod
    def reverse(self, reversal: "Reversal", loop: Loop, carry: Carry) -> tuple[Carry, Any]:
        """Return the cotangents at the first state for those at the last, and the number of iterations it took."""

    def run(self, solver: Solver, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
        """Solve, with the VJP of the steps attached to `value`."""
        if not solver.is_iterative:
            return Implicit().run(solver, problem, controls, stats)
        return _solve(solver, self, problem, controls, stats)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, mode: ReverseMode, problem: Problem, controls: Controls, stats: AdjointStats
) -> Solution:
    solved = solve_scaled(solver, problem, controls, never)
    return package(solved.result, solved.value, mode.room)


@promoting
def _forward(
    solver: Solver, mode: ReverseMode, problem: Problem, controls: Controls, stats: AdjointStats
) -> tuple[Solution, Any]:
    solved = solve_scaled(solver, problem, controls, never, mode.record)
    result = solved.result
    solution = package(result, solved.value, mode.room)
    loop = Loop(result.state, result.history, result.iterations, result.trips)
    return solution, (problem, solution.value, solution.status, solved.scale, loop, controls)


@promoting
def _backward(solver: Solver, mode: ReverseMode, saved: Any, cotangent: Solution) -> tuple:
    problem, value, status, scale, loop, controls = saved
    safe = backward(problem, value, status, cotangent.value)
    live = safe.live
    undefined = live & (loop.counts == 0) & (controls.iterations > 0) & (not solver.is_linear)
    reversal = Reversal(solver, safe, scale)
    carry, iterations = mode.reverse(reversal, loop, reversal.end(loop.last, safe.cotangent))
    failed = undefined | (live & ~has_value(status))
    status = jnp.where(undefined, Status.NOT_DIFFERENTIABLE, jnp.where(failed, status, Status.CONVERGED))
    stats = AdjointStats.of(iterations, iterations * solver.matvecs_per_iteration, status)
    problem = reversal.begin(carry)
    # A system without a step passes no NaN on by itself.
    rhs_bar = jnp.where(expand(failed, safe.problem.operator.rank), jnp.nan, problem.rhs)
    nothing = jnp.where(jnp.any(failed), jnp.nan, 0).astype(rhs_bar.dtype)
    operator_bar = jax.tree.map(lambda x: x if _is_float0(x) else x + nothing, problem.operator)
    return Problem(operator_bar, rhs_bar, problem.guess), None, vary_alike(stats, rhs_bar)


_solve.defvjp(_forward, _backward)


class Reversal:
    """The backward pass through a loop on `s A u = s b`, from its end to its beginning.

    Args:
        solver: the iteration.
        given: the unscaled problem, made safe.
        scale: s.
    """

    def __init__(self, solver: Solver, given: Backward, scale: Any):
        self.solver, self.problem, self.live, self.scale = solver, given.problem, given.live, scale
        self.operator, self._pull_back_prepared = jax.vjp(solver.prepare, self.problem.operator)
        self.rhs = self.problem.rhs * scale
        self.guess = None if self.problem.guess is None else self.problem.guess * scale

    def end(self, last: Any, cotangent: Any) -> Carry:
        """Return the cotangents at the last state, for that of the solve's value."""
        _, pull_back = jax.vjp(self.solver.solution, self.operator, self.safe(last))
        operator_bar, state_bar = pull_back(cotangent / self.scale)
        carry = state_bar, operator_bar, jnp.zeros_like(self.rhs)
        return jax.tree.map(lambda x: x if _is_float0(x) else vary_alike(x, self.rhs), carry)

    def safe(self, state: Any) -> Any:
        """Return a state, zero for the systems without a cotangent: theirs may not be finite."""
        return select(self.live, state, jax.tree.map(jnp.zeros_like, state))

    def again(self, state: Any, active: Any) -> Any:
        """Return the state one iteration on, of the systems that are active."""
        return select(active, self.solver.step(self.operator, self.rhs, state), state)

    def step(self, state: Any, active: Any, carry: Carry) -> Carry:
        """Return the cotangents before an iteration from `state`; a system that is not active passes its own on."""
        state_bar, operator_bar, rhs_bar = carry
        active = active & self.live
        _, pull_back = jax.vjp(self.solver.step, self.operator, self.rhs, self.safe(state))
        da, db, ds = pull_back(self.masked(active, state_bar))
        state_bar = select(active, _like(ds, state_bar), state_bar)
        return state_bar, _add(operator_bar, da), rhs_bar + db

    def residual(self, value: Any, active: Any, carry: Carry) -> Carry:
        """Return the cotangents with that of the residual `b - A u` of a constant `u` passed on."""
        state_bar, operator_bar, rhs_bar = carry
        value = self.safe(value)
        _, pull_back = jax.vjp(lambda a, b: b - a.mv(value), self.operator, self.rhs)
        da, db = pull_back(self.masked(active & self.live, state_bar.residual))
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
    return vary_alike(solver.init(operator, rhs, guess), rhs)


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
