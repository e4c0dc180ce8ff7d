"""What all modes share that approximate `lambda = A^-T ubar` and never look at the iterations that ran."""

from abc import abstractmethod
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
from prdp.linalg import Operator
from prdp.solvers import Solver


class AdjointMode(Mode):
    """A mode with `bbar = lambda` and `Abar = -lambda u^T` for its own approximation of `lambda = A^-T ubar`.

    `Abar` is never formed: parameters of `A` receive the VJP of `p -> -<lambda, A(p) u>`. The gradient with respect to
    the initial guess is zero.
    """

    @abstractmethod
    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointCost]:
        """Return `lambda`, and what it cost.

        Args:
            solver: of the primal solve.
            operator: `A^T`.
            cotangent: `ubar`, `(*batch, *operator.shape)`.
            controls: K and tolerance of the primal solve.
            primal_rhs: `b`.
        """

    def pull_back(
        self, solver: Solver, problem: Problem, value: Any, cotangent: Any, controls: Controls
    ) -> tuple[Operator, Any, AdjointCost]:
        """Return the cotangents of operator and right-hand side for that of `value`, and what they cost."""
        transposed = problem.operator.transpose()
        multiplier, cost = self.multiplier(solver, transposed, cotangent, controls, problem.rhs)
        return operator_cotangent(problem.operator, value, multiplier), multiplier, cost

    def run(self, solver: Solver, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
        """Solve, with this mode's VJP attached to `value`."""
        return _solve(solver, self, problem, controls, cost)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, mode: AdjointMode, problem: Problem, controls: Controls, cost: AdjointCost
) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solver, solved.result, solved.value, problem.guess is not None)


def _forward(
    solver: Solver, mode: AdjointMode, problem: Problem, controls: Controls, cost: AdjointCost
) -> tuple[Solution, Any]:
    solution = _solve(solver, mode, problem, controls, cost)
    return solution, (problem, solution.value, controls)


def _backward(solver: Solver, mode: AdjointMode, saved: Any, cotangent: Solution) -> tuple:
    problem, value, controls = saved
    operator_bar, rhs_bar, cost = mode.pull_back(solver, problem, value, cotangent.value, controls)
    guess_bar = None if problem.guess is None else jnp.zeros_like(problem.guess)
    # Not a derivative: it carries lambda out of the backward pass.
    multiplier = None if problem.adjoint_guess is None else rhs_bar
    return Problem(operator_bar, rhs_bar, guess_bar, multiplier), None, cost


_solve.defvjp(_forward, _backward)


def operator_cotangent(operator: Operator, value: Any, multiplier: Any) -> Operator:
    """Return the cotangent of `A`, `-lambda u^T` contracted with what its parameters do."""
    _, pull_back = jax.vjp(lambda a: a.mv(value), operator)
    (operator_bar,) = pull_back(-multiplier)
    return operator_bar


def solve_adjoint(
    solver: Solver, operator: Operator, cotangent: Any, controls: Controls, guess: Any = None
) -> tuple[Any, AdjointCost]:
    """Return `lambda` by iterating a solver from a guess (`None` is zero), and what it cost."""
    solved = solve_scaled(solver, Problem(operator, cotangent, guess), controls)
    value = package(solver, solved.result, solved.value, False).value
    return value, adjoint_cost(solver, solved.result.largest, guess is not None)
