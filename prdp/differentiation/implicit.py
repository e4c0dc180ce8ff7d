"""Implicit differentiation: a second linear solve, with the transposed operator."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from prdp.checks import integer, is_number, one_of, positive, within
from prdp.differentiation.adjoint import AdjointMode, residual_tangent, solve_adjoint
from prdp.differentiation.base import AdjointStats, Controls, Problem, Solution, backward, forward, settled
from prdp.differentiation.linear_maps import filled, inverse_map, is_zero
from prdp.linalg import Operator, scaled_norm, vary_alike
from prdp.linalg.norms import expand
from prdp.solvers import Solver
from prdp.solvers.base import safe_divide

REFERENCES = ("cotangent", "primal")
# Keeps the adjoint's K, a 32-bit integer, from overflowing.
_LARGEST_RATIO = 1000.0


@dataclass(frozen=True)
class Implicit(AdjointMode):
    """Solve `A^T lambda = ubar` with the same solver. Then `bbar = lambda` and `Abar = -lambda u^T`.

    By default the adjoint solve has the K and the tolerance of the primal solve. It starts from zero, and its
    tolerance is relative to its own right-hand side, the cotangent. The VJP is therefore linear in the cotangent,
    however small the loss. Forward mode solves `A du = db - dA u` in the same way, and derivatives of any order are
    solves again. The gradient converges with every solver, as fast as the slower of the two solves (see
    `prdp.gradient_error`). With a guess for `lambda`, the VJP is affine in the cotangent, and linear only at
    convergence.

    Args:
        adjoint_iterations: K of the adjoint solve, or `None` for that of the primal solve.
        adjoint_ratio: K of the adjoint solve as a multiple of the primal K, rounded up, or `None`.
        adjoint_tolerance: relative tolerance of the adjoint solve, or `None` for that of the primal solve.
        adjoint_tolerance_relative_to: `cotangent` or `primal`. With `primal`, the adjoint solve stops at a residual
            of `tolerance * ||b||` with the right-hand side `b` of the primal solve, as in
            `jax.scipy.sparse.linalg.gmres`, which the released Navier-Stokes code uses. Cotangents smaller than that
            threshold give `lambda = 0`, so no gradient passes the solve. For comparisons only.

    Raises:
        ValueError: If `adjoint_iterations` is below 1, if `adjoint_ratio` is not in `(0, 1000]` or is given together
            with `adjoint_iterations`, if `adjoint_tolerance` is outside `[0, 1)`, or if
            `adjoint_tolerance_relative_to` is neither of the two.

    Source: paper, appendix C.1, eqs. 10-13; Christianson 1998.
    """

    takes_adjoint_guess: ClassVar[bool] = True

    adjoint_iterations: int | None = None
    adjoint_ratio: float | None = None
    adjoint_tolerance: float | None = None
    adjoint_tolerance_relative_to: str = "cotangent"

    def __post_init__(self) -> None:
        integer("adjoint_iterations", self.adjoint_iterations, 1, null=True)
        ratio = self.adjoint_ratio
        if ratio is not None and is_number(ratio) and ratio > _LARGEST_RATIO:
            raise ValueError(
                f"adjoint_ratio={self.adjoint_ratio}: allowed is at most {_LARGEST_RATIO:g}, or null"
            )
        positive("adjoint_ratio", self.adjoint_ratio, null=True)
        if self.adjoint_ratio is not None and self.adjoint_iterations is not None:
            raise ValueError(
                f"adjoint_ratio={self.adjoint_ratio}: allowed only where adjoint_iterations is null"
            )
        within(
            "adjoint_tolerance",
            self.adjoint_tolerance,
            lambda x: 0 <= x < 1,
            "0 <= tolerance < 1",
            null=True,
        )
        one_of("adjoint_tolerance_relative_to", self.adjoint_tolerance_relative_to, REFERENCES)

    def tangent(
        self,
        solver: Solver,
        solution: Solution,
        primals: tuple[Problem, Controls, AdjointStats],
        tangents: tuple[Problem, AdjointStats],
    ) -> Any:
        """Return `du = A^-1 (db - dA u)`, whose transpose solves `A^T lambda = ubar`; differentiable again."""
        problem, controls, stats = primals
        safe = forward(problem, solution.value, solution.status)
        operator, rank = safe.problem.operator, problem.operator.rank

        def push(residual: Any) -> Any:
            moving = jnp.any(residual != 0, axis=tuple(range(-rank, 0)))
            image, _ = self.multiplier(solver, operator, residual, controls, problem.rhs)
            return settled(image, moving, solution.status)

        def pull(cotangent: Any) -> tuple[Any, AdjointStats]:
            given = backward(problem, solution.value, solution.status, cotangent)
            arguments = solver.transpose(), operator.transpose(), given.cotangent, controls, given.problem.rhs
            multiplier, spent = self.multiplier(*arguments, problem.adjoint_guess)
            multiplier = jnp.where(expand(given.live, rank), multiplier, 0)
            return multiplier, vary_alike(spent, multiplier)

        moved, stats_moved = tangents
        residual = residual_tangent(operator, safe.value, moved)
        if moved.adjoint_guess is not None and not is_zero(moved.adjoint_guess):
            # Not a derivative: this slot carries lambda out of the backward pass.
            residual = residual + moved.adjoint_guess
        return inverse_map(operator, push, pull, residual, filled(stats_moved, stats))

    def multiplier(
        self,
        solver: Solver,
        operator: Operator,
        cotangent: Any,
        controls: Controls,
        primal_rhs: Any,
        guess: Any = None,
    ) -> tuple[Any, AdjointStats]:
        """Return `lambda` from the primal solver, starting at a guess (`None` is zero), and the stats."""
        tolerance = controls.tolerance if self.adjoint_tolerance is None else self.adjoint_tolerance
        if self.adjoint_tolerance_relative_to == "primal":
            rank = operator.rank
            scale = safe_divide(scaled_norm(primal_rhs, rank), scaled_norm(cotangent, rank))
            tolerance = jnp.asarray(tolerance) * scale
        iterations = controls.iterations if self.adjoint_iterations is None else self.adjoint_iterations
        if self.adjoint_ratio is not None:
            iterations = jnp.ceil(self.adjoint_ratio * jnp.asarray(iterations)).astype(jnp.int32)
        return solve_adjoint(solver, operator, cotangent, Controls(iterations, tolerance), guess)
