"""Symmetric red-black Gauss-Seidel (SSOR) as a preconditioner."""

from dataclasses import dataclass

from prdp.checks import within
from prdp.linalg import Operator, Relaxation, Stencil, inverse_diagonal
from prdp.solvers.preconditioner import Preconditioner


@dataclass(frozen=True)
class SSOR(Preconditioner):
    """One symmetric sweep of successive over-relaxation in red-black order: red, black, red.

    Points whose indices have an even sum are red. On a stencil of nearest neighbours, points of one colour do not see
    each other, and the sweep is Gauss-Seidel in that order. Couplings within a colour (diagonal neighbours, the seam
    of a periodic axis with an odd number of points) are treated as in Jacobi. `P` is symmetric if `A` is, and costs
    two products with `A`.

    Args:
        relaxation: omega, in `(0, 2)`.

    Raises:
        ValueError: If `relaxation` is outside `(0, 2)`.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, sections 10.2 and 12.4.
    """

    relaxation: float = 1.0

    def __post_init__(self) -> None:
        within("relaxation", self.relaxation, lambda x: 0 < x < 2, "0 < relaxation < 2")

    @property
    def products(self) -> int:
        """2."""
        return 2

    def check(self, operator: Operator) -> None:
        """Check that the operator is a stencil.

        Raises:
            ValueError: If it is not.
        """
        if not isinstance(operator, Stencil):
            raise ValueError(f"the SSOR preconditioner needs a stencil, not a {type(operator).__name__}")

    def inverse(self, operator: Operator) -> Relaxation:
        """Return the sweep for `operator`."""
        assert isinstance(operator, Stencil)
        return Relaxation(
            operator, self.relaxation * inverse_diagonal(operator), (0, 1, 0), len(operator.grid)
        )
