"""A few conjugate gradient iterations on the adjoint."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import integer
from prdp.differentiation.adjoint import AdjointMode, solve_adjoint
from prdp.differentiation.base import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.solvers import ConjugateGradient, Solver


@dataclass(frozen=True)
class ReducedCG(AdjointMode):
    """`steps` conjugate gradient iterations on `A^T lambda = ubar`, whatever the primal's solver and K.

    Exact after as many as there are unknowns; defined for symmetric definite operators only.

    Args:
        steps: j, at least 1.

    Raises:
        ValueError: `steps` is below 1.

    Source: Lorraine et al. 2020, *Optimizing millions of hyperparameters by implicit differentiation*, section 3.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1)

    def check(self, solver: Solver, operator: Operator) -> None:
        """Refuse an operator that is not declared symmetric."""
        ConjugateGradient().check(operator)

    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return the last iterate, from zero."""
        return solve_adjoint(ConjugateGradient(), operator, cotangent, Controls(self.steps, 0.0))
