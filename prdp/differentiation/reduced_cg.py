"""A few conjugate gradient iterations on the adjoint system."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import integer
from prdp.differentiation.adjoint import AdjointMode, solve_adjoint
from prdp.differentiation.base import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.solvers import ConjugateGradient, Solver


@dataclass(frozen=True)
class ReducedCG(AdjointMode):
    """Run `steps` conjugate gradient iterations on `A^T lambda = ubar`, for any primal solver and K.

    Defined only for symmetric definite operators. In exact arithmetic, `n` iterations solve a system of `n` unknowns.

    Args:
        steps: j, at least 1.

    Raises:
        ValueError: If `steps` is below 1.

    Source: Lorraine et al. 2020, *Optimizing millions of hyperparameters by implicit differentiation*, section 3.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1)

    def check(self, solver: Solver, operator: Operator) -> None:
        """Check that the operator is declared symmetric.

        Raises:
            ValueError: If it is not.
        """
        ConjugateGradient().check(operator)

    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return the last iterate, starting from zero, and the stats."""
        return solve_adjoint(ConjugateGradient(), operator, cotangent, Controls(self.steps, 0.0))
