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
    forward,
    is_moving,
    package,
    settled,
    solve_scaled,
)
from prdp.differentiation.linear_maps import (
    all_zero,
    filled,
    is_zero,
    once_differentiable,
    tangent_map,
    zero_tangent,
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

    def push_forward(
        self, solver: Solver, problem: Problem, value: Any, tangents: Problem, controls: Controls
    ) -> Any:
        """Return the tangent of `value`: the approximate inverse of `multiplier`, applied to `db - dA u`."""
        residual = residual_tangent(problem.operator, value, tangents)
        return self.multiplier(solver, problem.operator, residual, controls, problem.rhs)[0]

    def run(self, solver: Solver, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
        """Solve, with the derivatives of this mode attached to `value`."""
        return _solve(solver, self, problem, controls, stats)

    def tangent(
        self,
        solver: Solver,
        solution: Solution,
        primals: tuple[Problem, Controls, AdjointStats],
        tangents: tuple[Problem, AdjointStats],
    ) -> Any:
        """Return the tangent of `solution.value` as a linear map of `tangents` that JAX can transpose."""
        problem, controls, stats = once_differentiable(type(self).__name__, primals)
        value, status = solution.value, solution.status

        def push(tangents: tuple[Problem, AdjointStats]) -> Any:
            moved, _ = tangents
            safe = forward(problem, value, status)
            moving = is_moving(moved, problem)
            image = self.push_forward(solver, safe.problem, safe.value, moved, controls)
            return settled(image, moving, status)

        def pull(cotangent: Any) -> tuple[Problem, AdjointStats]:
            safe = backward(problem, value, status, cotangent)
            operator_bar, rhs_bar, spent = self.pull_back(
                solver, safe.problem, safe.value, safe.cotangent, controls
            )
            rhs_bar = jnp.where(expand(safe.live, problem.operator.rank), rhs_bar, 0)
            guess_bar = None if problem.guess is None else jnp.zeros_like(problem.guess)
            return Problem(operator_bar, rhs_bar, guess_bar), vary_alike(spent, rhs_bar)

        return tangent_map(push, pull, tangents, (problem, stats), value)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solve(
    solver: Solver, mode: AdjointMode, problem: Problem, controls: Controls, stats: AdjointStats
) -> Solution:
    solved = solve_scaled(solver, problem, controls)
    return package(solved.result, solved.value)


@partial(_solve.defjvp, symbolic_zeros=True)
@promoting
def _(solver: Solver, mode: AdjointMode, primals: Any, tangents: Any) -> tuple[Solution, Solution]:
    solution = _solve(solver, mode, *primals)
    moved = tangents[0], tangents[2]
    still = zero_tangent(solution)
    if all_zero(moved):
        return solution, still
    return solution, still._replace(value=mode.tangent(solver, solution, primals, moved))


def residual_tangent(operator: Operator, value: Any, tangents: Problem) -> Any:
    """Return `db - dA u`, the tangent of the residual at fixed `u`."""
    rhs = filled(tangents.rhs, value)
    if all_zero(tangents.operator):
        return rhs
    leaves, tree = jax.tree.flatten(operator)
    moved = jax.tree.leaves(tangents.operator)
    live = [i for i, x in enumerate(moved) if not is_zero(x)]

    def product(parameters: list[Any]) -> Any:
        given = list(leaves)
        for i, x in zip(live, parameters, strict=True):
            given[i] = x
        return jax.tree.unflatten(tree, given).mv(value)

    primals, directions = [leaves[i] for i in live], [moved[i] for i in live]
    return rhs - jax.jvp(product, (primals,), (directions,))[1]


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
