"""Reversal of a solver's loop: the backward pass of all modes that differentiate through the iterations."""

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar

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
from prdp.differentiation.linear_maps import (
    all_zero,
    is_zero,
    once_differentiable,
    tangent_map,
    zero_tangent,
)
from prdp.differentiation.tangents import Loop, Saved, is_undefined, push_forward
from prdp.linalg import promoting, vary_alike
from prdp.linalg.norms import expand
from prdp.solvers import Record, Solver, Status
from prdp.solvers.iterate import never, select

# Cotangents of a solver's state, of the prepared operator and of the scaled right-hand side.
Carry = tuple[Any, Any, Any]


class ReverseMode(Mode):
    """A mode that differentiates the K-step map `P_K`, or its last steps.

    The solve always runs all K iterations; the tolerance affects only the status. A solve that stops at the tolerance
    would have a different derivative, which is zero if no iteration runs (for `b = 0` or a good guess). A system whose
    iteration fails is frozen from then on.

    The gradient converges to the exact one only if the derivative of the residual `r_K(b)` vanishes. For stationary
    solvers (Jacobi, Richardson) it does, as fast as the residual or nearly so; the same holds for Krylov methods on the
    heat equation. Where the right-hand side consists of few modes, it may grow while the residual decays: steepest
    descent and GMRES(2) on Poisson, BiCGStab on Navier-Stokes, and GMRES(2) on the paper's Burgers systems. There, the
    unrolled gradient is 90 to 1,500 times the exact one for K = 4 to 23 (float64, states after one time step; more at
    smoother states), and the implicit one has an error of 2.5 % at K = 12 and 0.02 % at K = 23. Truncated gradients
    keep an error, however large K is. `prdp.gradient_error` measures all of this on any system, and
    `results/gradient_errors.md` has it for the problems of this suite.

    If the initial residual is exactly zero, a Krylov method has no derivative: the gradient is NaN, and the status of
    the adjoint is `NOT_DIFFERENTIABLE`. Solvers that are not iterative are differentiated by `Implicit`, which gives
    the same result.
    """

    leaves_early: ClassVar[bool] = False

    @property
    @abstractmethod
    def record(self) -> Record:
        """The states that the forward loop stores."""

    @property
    def room(self) -> int | None:
        """The largest K that the record supports, or `None` if there is no limit."""
        return None

    @abstractmethod
    def reverse(self, reversal: "Reversal", loop: Loop, carry: Carry) -> tuple[Carry, Any]:
        """Return the cotangents at the first state, given those at the last, and the number of iterations used."""

    @property
    def kept(self) -> int | None:
        """The number of last iterations that are differentiated, or `None` for all."""
        return None

    def run(self, solver: Solver, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
        """Solve, with the derivatives of the iterations attached to `value`."""
        if not solver.is_iterative:
            return Implicit().run(solver, problem, controls, stats)
        return _solve(solver, self, problem, controls, stats)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, mode: ReverseMode, problem: Problem, controls: Controls, stats: AdjointStats
) -> Solution:
    solved = solve_scaled(solver, problem, controls, never)
    return package(solved.result, solved.value, mode.room)


@partial(_solve.defjvp, symbolic_zeros=True)
@promoting
def _(solver: Solver, mode: ReverseMode, primals: Any, tangents: Any) -> tuple[Solution, Solution]:
    moved = tangents[0], tangents[2]
    if all_zero(moved):
        solution = _solve(solver, mode, *primals)
        return solution, zero_tangent(solution)
    problem, controls, stats = once_differentiable(type(mode).__name__, primals)
    solved = solve_scaled(solver, problem, controls, never, mode.record)
    result = solved.result
    solution = package(result, solved.value, mode.room)
    loop = Loop(result.state, result.history, result.iterations, result.trips)
    saved = Saved(problem, controls, solution, solved.scale, loop)
    push, pull = partial(push_forward, solver, mode, saved), partial(_pull_back, solver, mode, saved)
    tangent = tangent_map(push, pull, moved, (problem, stats), solution.value)
    return solution, zero_tangent(solution)._replace(value=tangent)


def _pull_back(
    solver: Solver, mode: ReverseMode, saved: Saved, cotangent: Any
) -> tuple[Problem, AdjointStats]:
    problem, controls, (value, _, _, _, status), scale, loop = saved
    safe = backward(problem, value, status, cotangent)
    live = safe.live
    undefined = live & is_undefined(solver, loop, controls)
    reversal = Reversal(solver, safe, scale)
    carry, iterations = mode.reverse(reversal, loop, reversal.end(loop.last, safe.cotangent))
    failed = undefined | (live & ~has_value(status))
    status = jnp.where(undefined, Status.NOT_DIFFERENTIABLE, jnp.where(failed, status, Status.CONVERGED))
    stats = AdjointStats.of(iterations, iterations * solver.matvecs_per_iteration, status)
    problem = reversal.begin(carry)
    # A system that took no iteration does not propagate its NaN by itself.
    rhs_bar = jnp.where(expand(failed, safe.problem.operator.rank), jnp.nan, problem.rhs)
    nothing = jnp.where(jnp.any(failed), jnp.nan, 0).astype(rhs_bar.dtype)
    operator_bar = jax.tree.map(lambda x: x if is_zero(x) else x + nothing, problem.operator)
    return Problem(operator_bar, rhs_bar, problem.guess), vary_alike(stats, rhs_bar)


class Reversal:
    """The backward pass through a loop on the system scaled by `s`, from its last state to its first.

    Args:
        solver: the solver.
        given: the unscaled problem, see `Backward`.
        scale: `s`, a power of two per system.
    """

    def __init__(self, solver: Solver, given: Backward, scale: Any):
        self.solver, self.problem, self.live, self.scale = solver, given.problem, given.live, scale
        self.operator, self._pull_back_prepared = jax.vjp(solver.prepare, self.problem.operator)
        self.rhs = self.problem.rhs * scale
        self.guess = None if self.problem.guess is None else self.problem.guess * scale

    def end(self, last: Any, cotangent: Any) -> Carry:
        """Return the cotangents at the last state, given the cotangent of the solve's value."""
        _, pull_back = jax.vjp(self.solver.solution, self.operator, self.safe(last))
        operator_bar, state_bar = pull_back(cotangent / self.scale)
        carry = state_bar, operator_bar, jnp.zeros_like(self.rhs)
        return jax.tree.map(lambda x: x if is_zero(x) else vary_alike(x, self.rhs), carry)

    def safe(self, state: Any) -> Any:
        """Return a state with zeros for systems whose cotangent is zero, because their entries may be non-finite."""
        return select(self.live, state, jax.tree.map(jnp.zeros_like, state))

    def again(self, state: Any, active: Any) -> Any:
        """Return the state after one iteration of the active systems."""
        return select(active, self.solver.step(self.operator, self.rhs, state), state)

    def step(self, state: Any, active: Any, carry: Carry) -> Carry:
        """Return the cotangents before the iteration from `state`. Those of inactive systems stay the same."""
        state_bar, operator_bar, rhs_bar = carry
        active = active & self.live
        _, pull_back = jax.vjp(self.solver.step, self.operator, self.rhs, self.safe(state))
        da, db, ds = pull_back(self.masked(active, state_bar))
        state_bar = select(active, _like(ds, state_bar), state_bar)
        return state_bar, _add(operator_bar, da), rhs_bar + db

    def residual(self, value: Any, active: Any, carry: Carry) -> Carry:
        """Return the cotangents after pulling back the state's residual `b - A u`, with `u` constant."""
        state_bar, operator_bar, rhs_bar = carry
        value = self.safe(value)
        _, pull_back = jax.vjp(lambda a, b: b - a.mv(value), self.operator, self.rhs)
        da, db = pull_back(self.masked(active & self.live, state_bar.residual))
        return state_bar, _add(operator_bar, da), rhs_bar + db

    def begin(self, carry: Carry) -> Problem:
        """Return the cotangents of the problem, given those at the first state."""
        state_bar, operator_bar, rhs_bar = carry
        start = partial(_init, self.solver)
        _, pull_back = jax.vjp(start, self.operator, self.rhs, self.guess)
        da, db, dg = pull_back(state_bar)
        (problem_operator_bar,) = self._pull_back_prepared(_add(operator_bar, da))
        guess_bar = None if self.guess is None else dg * self.scale
        return Problem(problem_operator_bar, (rhs_bar + db) * self.scale, guess_bar)

    @staticmethod
    def masked(active: Any, state_bar: Any) -> Any:
        """Return the cotangents with zeros for inactive systems."""
        return jax.tree.map(lambda x: _mask(active, x), state_bar)


def _init(solver: Solver, operator: Any, rhs: Any, guess: Any) -> Any:
    return vary_alike(solver.init(operator, rhs, guess), rhs)


def _mask(active: Any, x: Any) -> Any:
    """Return `x` with zeros for inactive systems. Integers have no cotangent to mask."""
    if is_zero(x):
        return x
    return jnp.where(expand(active, x.ndim - active.ndim), x, 0)


def _like(new: Any, old: Any) -> Any:
    return jax.tree.map(lambda n, o: o if is_zero(o) else n, new, old)


def _add(a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: x if is_zero(x) else x + y, a, b)
