"""Jacobian-free backpropagation."""

from dataclasses import dataclass
from typing import Any

from prdp.differentiation.adjoint import AdjointMode
from prdp.differentiation.base import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.solvers import Solver


@dataclass(frozen=True)
class JFB(AdjointMode):
    """One application of the splitting instead of an adjoint solve: `lambda = M^-T ubar`, without a single product.

    It is the implicit mode with one iteration of the adjoint. `M` is that of the primal's solver: `D / omega` for
    Jacobi.

    Source: Fung et al. 2021, *JFB: Jacobian-free backpropagation for implicit networks*.
    """

    def check(self, solver: Solver, operator: Operator) -> None:
        """Refuse a solver without a splitting."""
        if not solver.has_splitting:
            raise ValueError(f"JFB needs a splitting A = M - N, and {type(solver).__name__} has none")

    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return `M^-T ubar`."""
        return solver.correction(operator, cotangent), AdjointStats.of(1, 0)
