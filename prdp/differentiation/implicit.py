"""Implicit differentiation: one more linear solve, with the transposed operator."""

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
from prdp.linalg import scaled_norm
from prdp.solvers import Solver
from prdp.solvers.base import safe_divide

REFERENCES = ("cotangent", "primal")


@dataclass(frozen=True)
class Implicit(Mode):
    """Solve `A^T lambda = ubar` by the same solver; then `bbar = lambda` and `Abar = -lambda u^T`.

    The adjoint starts from zero and its tolerance is relative to its own right-hand side, the cotangent: the VJP
    is linear in the cotangent however small the loss. The number of its iterations is that of the primal
    solve, unless given. `Abar` is never formed: parameters of `A` receive the VJP of `p -> -<lambda, A(p) u>`.
    The gradient with respect to the initial guess is zero.

    Args:
        adjoint_iterations: the adjoint's own K, or `None` for the primal's.
        adjoint_tolerance: the adjoint's own relative tolerance, or `None` for the primal's.
        adjoint_tolerance_relative_to: `cotangent`, or `primal`: the adjoint then stops at a residual of
            `tolerance * ||b||`, with the primal's `b`. That is what `jax.scipy.sparse.linalg.gmres` does, on which the
            released Navier-Stokes code rests; a cotangent smaller than that gives `lambda = 0`, a gradient that
            stops at the solve. For comparisons only.

    Raises:
        ValueError: `adjoint_iterations` is below 1, `adjoint_tolerance` is negative or not below 1, or
            `adjoint_tolerance_relative_to` is neither of the two.

    Source: paper, appendix C.1, eqs. 10-13; Christianson 1998.
    """

    adjoint_iterations: int | None = None
    adjoint_tolerance: float | None = None
    adjoint_tolerance_relative_to: str = "cotangent"

    def __post_init__(self) -> None:
        if self.adjoint_iterations is not None and self.adjoint_iterations < 1:
            raise ValueError(
                f"adjoint_iterations={self.adjoint_iterations}: allowed is an integer >= 1, or null"
            )
        if self.adjoint_tolerance is not None and not 0 <= self.adjoint_tolerance < 1:
            raise ValueError(
                f"adjoint_tolerance={self.adjoint_tolerance}: allowed is 0 <= tolerance < 1, or null"
            )
        if self.adjoint_tolerance_relative_to not in REFERENCES:
            raise ValueError(
                f"adjoint_tolerance_relative_to={self.adjoint_tolerance_relative_to!r}: "
                f"allowed are {', '.join(REFERENCES)}"
            )

    def run(self, solver: Solver, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
        """Solve, with the implicit VJP attached to `value`."""
        return _solve(solver, self, problem, controls, cost)

    def adjoint_controls(self, controls: Controls, rhs_norm: Any, cotangent: Any, rank: int) -> Controls:
        """Return K and tolerance of the adjoint solve, given those of the primal and `||b||` (`None`: not needed)."""
        iterations, own = self.adjoint_iterations, self.adjoint_tolerance
        tolerance = controls.tolerance if own is None else jnp.asarray(own)
        if rhs_norm is not None:
            tolerance = tolerance * safe_divide(rhs_norm, scaled_norm(cotangent, rank))
        return Controls(controls.iterations if iterations is None else iterations, tolerance)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, mode: Implicit, problem: Problem, controls: Controls, cost: AdjointCost
) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solver, solved.result, solved.value, problem.guess is not None)


def _forward(
    solver: Solver, mode: Implicit, problem: Problem, controls: Controls, cost: AdjointCost
) -> tuple[Solution, Any]:
    solution = _solve(solver, mode, problem, controls, cost)
    guess_like = None if problem.guess is None else jnp.zeros_like(problem.guess)
    to_primal = mode.adjoint_tolerance_relative_to == "primal"
    rhs_norm = scaled_norm(problem.rhs, problem.operator.rank) if to_primal else None
    return solution, (problem.operator, solution.value, guess_like, controls, rhs_norm)


def _backward(solver: Solver, mode: Implicit, saved: Any, cotangent: Solution) -> tuple:
    operator, value, guess_like, controls, rhs_norm = saved
    adjoint = Problem(operator.transpose(), cotangent.value, None)
    controls = mode.adjoint_controls(controls, rhs_norm, cotangent.value, operator.rank)
    solved = solve_scaled(solver, adjoint, controls)
    multiplier = package(solver, solved.result, solved.value, False).value
    _, pull_back = jax.vjp(lambda a: a.mv(value), operator)
    (operator_bar,) = pull_back(-multiplier)
    return Problem(operator_bar, multiplier, guess_like), None, adjoint_cost(solver, solved.result.trips)


_solve.defvjp(_forward, _backward)
