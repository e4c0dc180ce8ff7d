"""A truncated Neumann series for the inverse in the adjoint."""

from dataclasses import dataclass
from typing import Any

import jax

from prdp.checks import integer
from prdp.differentiation.adjoint import AdjointMode
from prdp.differentiation.base import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.solvers import Richardson, Solver


@dataclass(frozen=True)
class Neumann(AdjointMode):
    """`lambda = alpha sum_(i=0..terms) (I - alpha A^T)^i ubar`: `terms + 1` Richardson iterations on the adjoint.

    It works with any primal solver. For definite `A`, the series converges if `0 < alpha mu < 2` for every eigenvalue
    `mu` of `A`.

    Args:
        terms: j, at least 0; each term costs one product.
        step_size: alpha, in units of `1/A`, or `None` for the default of `Richardson`: one over the largest absolute
            row sum.

    Raises:
        ValueError: If `terms` is below 0, or if `step_size` is 0 or not finite.

    Source: Lorraine et al. 2020, *Optimizing millions of hyperparameters by implicit differentiation*, algorithm 3.
    """

    terms: int = 5
    step_size: float | None = None

    def __post_init__(self) -> None:
        integer("terms", self.terms, 0)
        Richardson(self.step_size)

    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return the truncated series."""
        richardson = Richardson(self.step_size)

        def add(_: Any, multiplier: Any) -> Any:
            return multiplier + richardson.correction(operator, cotangent - operator.mv(multiplier))

        multiplier = jax.lax.fori_loop(0, self.terms, add, richardson.correction(operator, cotangent))
        return multiplier, AdjointStats.of(self.terms + 1, self.terms)
