"""The base class of modes that approximate `lambda = A^-T ubar`, independent of the iterates of the solve."""

from abc import abstractmethod
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.differentiation.base import (
    AdjointStats,
    Controls,
    Mode,
    Problem,
    Solution,
    backward,
    package,
    solve_scaled,
)
from prdp.linalg import Operator, promoting, vary_alike
from prdp.linalg.norms import expand
from prdp.solvers import Solver


class AdjointMode(Mode):
    """A mode with `bbar = lambda` and `Abar = -lambda u^T`, where `lambda` approximates `A^-T ubar`.

    A subclass defines the approximation. `Abar` is never formed: the parameters `p` of `A` receive the gradient of
    `-<lambda, A(p) u>` with fixed `lambda` and `u`. The gradient with respect to the initial guess is zero.
    """

    @abstractmethod
    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return `lambda`, shape `(*batch, *operator.shape)`, and the statistics of its computation.

        Args:
            solver: the solver of the primal solve.
            operator: `A^T`.
            cotangent: `ubar`, `(*batch, *operator.shape)`.
            controls: K and tolerance of the primal solve.
            primal_rhs: `b`, `(*batch, *operator.shape)`.
        """

    def pull_back(
        self, solver: Solver, problem: Problem, value: Any, cotangent: Any, controls: Controls
    ) -> tuple[Operator, Any, AdjointStats]:
        """Return the cotangents of operator and right-hand side, and the stats, given the cotangent of `value`."""
        transposed = problem.operator.transpose()
        multiplier, stats = self.multiplier(solver.transpose(), transposed, cotangent, controls, problem.rhs)
        return operator_cotangent(problem.operator, value, multiplier), multiplier, stats

    def run(self, solver: Solver, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
        """Solve, with the VJP of this mode attached to `value`."""
        return _solve(solver, self, problem, controls, stats)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, mode: AdjointMode, problem: Problem, controls: Controls, stats: AdjointStats
) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solved.result, solved.value)


@promoting
def _forward(
    solver: Solver, mode: AdjointMode, problem: Problem, controls: Controls, stats: AdjointStats
) -> tuple[Solution, Any]:
    solution = _solve(solver, mode, problem, controls, stats)
    return solution, (problem, solution.value, solution.status, controls)


@promoting
def _backward(solver: Solver, mode: AdjointMode, saved: Any, cotangent: Solution) -> tuple:
    problem, value, status, controls = saved
    problem, value, ubar, live = backward(problem, value, status, cotangent.value)
    operator_bar, rhs_bar, stats = mode.pull_back(solver, problem, value, ubar, controls)
    rhs_bar = jnp.where(expand(live, problem.operator.rank), rhs_bar, 0)
    guess_bar = None if problem.guess is None else jnp.zeros_like(problem.guess)
    # Not a derivative: this slot carries lambda out of the backward pass.
    multiplier = None if problem.adjoint_guess is None else rhs_bar
    return Problem(operator_bar, rhs_bar, guess_bar, multiplier), None, vary_alike(stats, rhs_bar)


_solve.defvjp(_forward, _backward)


def operator_cotangent(operator: Operator, value: Any, multiplier: Any) -> Operator:
    """Return the cotangent of the parameters `p` of `A`: the gradient of `-<lambda, A(p) u>`."""
    _, pull_back = jax.vjp(lambda a: a.mv(value), operator)
    (operator_bar,) = pull_back(-multiplier)
    return operator_bar


def solve_adjoint(
    solver: Solver, operator: Operator, cotangent: Any, controls: Controls, guess: Any = None
) -> tuple[Any, AdjointStats]:
    """Return `lambda` from running a solver, starting at a guess (`None` is zero), and its statistics."""
    solved = solve_scaled(solver, Problem(operator, cotangent, guess), controls)
    solution = package(solved.result, solved.value)
    iterations, matvecs = (jnp.max(x, initial=0) for x in (solution.iterations, solution.matvecs))
    return solution.value, AdjointStats.of(iterations, matvecs, solution.status, solution.residual_norm)
