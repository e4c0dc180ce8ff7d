"""The Chebyshev preconditioner."""

from dataclasses import dataclass

from prdp.checks import integer, within
from prdp.linalg import Operator, Polynomial, inverse_diagonal, scaled_bound
from prdp.solvers.preconditioner import Preconditioner


@dataclass(frozen=True)
class Chebyshev(Preconditioner):
    """The Chebyshev polynomial in `D^-1 A` for the part `[L/ratio, L]` of its spectrum, see `prdp.linalg.Polynomial`.

    `L` is Gershgorin's bound `max_i sum_j |a_ij / a_ii|`, so no estimate of eigenvalues is needed. `P` is symmetric
    positive definite if `A` is. It needs no inner products, which suits many devices. Operators other than stencils
    are made dense for the bound.

    Args:
        degree: the number of steps, at least 1. `P` costs one product less.
        ratio: the largest eigenvalue that is reduced divided by the smallest, above 1.

    Raises:
        ValueError: If an argument is outside its range.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, section 12.3.2; Adams et al. 2003.
    """

    degree: int = 4
    ratio: float = 30.0

    def __post_init__(self) -> None:
        integer("degree", self.degree, 1, 1000)
        within("ratio", self.ratio, lambda x: x > 1, "a number > 1")

    @property
    def products(self) -> int:
        """`degree - 1`."""
        return self.degree - 1

    def inverse(self, operator: Operator) -> Polynomial:
        """Return the polynomial of `operator`."""
        upper = scaled_bound(operator)
        return Polynomial(operator, inverse_diagonal(operator), upper / self.ratio, upper, self.degree)
