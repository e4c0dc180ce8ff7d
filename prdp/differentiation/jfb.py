"""Jacobian-free backpropagation."""

from dataclasses import dataclass
from typing import Any

from prdp.differentiation.adjoint import AdjointMode
from prdp.differentiation.base import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.solvers import Solver


@dataclass(frozen=True)
class JFB(AdjointMode):
    """Apply the splitting once instead of solving the adjoint system: `lambda = M^-T ubar`, without any product.

    This equals the implicit mode with one adjoint iteration. `M` comes from the splitting of the primal solver, e.g.
    `D / omega` for Jacobi.

    Raising K does not make the gradient exact: its error is that of `M` as an approximation of `A`. Forward mode is
    `M^-1 (db - dA u)`. Second derivatives are refused.

    Source: Fung et al. 2021, *JFB: Jacobian-free backpropagation for implicit networks*.
    """

    def check(self, solver: Solver, operator: Operator) -> None:
        """Check that the solver has a splitting.

        Raises:
            ValueError: If it does not.
        """
        if not solver.has_splitting:
            raise ValueError(f"JFB needs a splitting A = M - N, and {type(solver).__name__} has none")

    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return `M^-T ubar`."""
        return solver.correction(operator, cotangent), AdjointStats.of(1, 0)
