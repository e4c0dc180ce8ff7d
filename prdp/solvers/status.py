"""How a solve ended, in a number that fits in an array and a sentence that says what to try next."""

from enum import IntEnum


class Status(IntEnum):
    """The outcome of one system's solve. Ordered: the larger, the worse.

    The value of a solve is the last iterate for `CONVERGED`, `BUDGET_SPENT`, `STAGNATED` and `BREAKDOWN`, and NaN
    for the others, so that what has no meaning cannot be mistaken for a solution.
    """

    CONVERGED = 0
    BUDGET_SPENT = 1
    STAGNATED = 2
    BREAKDOWN = 3
    SINGULAR = 4
    NON_FINITE = 5
    BUFFER_TOO_SMALL = 6

    @property
    def has_value(self) -> bool:
        """Whether a solve that ended so still returns an iterate (and not NaN)."""
        return self <= Status.BREAKDOWN

    @property
    def advice(self) -> str:
        """One sentence: what happened and what to try next."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "The relative residual is below the tolerance.",
    Status.BUDGET_SPENT: (
        "All iterations were used before the tolerance was reached: expected while refining; "
        "otherwise raise `iterations`, loosen `tolerance` or take a faster solver."
    ),
    Status.STAGNATED: (
        "The residual no longer falls, so further iterations would change nothing: raise GMRES's `restart`, "
        "or precondition the system."
    ),
    Status.BREAKDOWN: (
        "A search direction had no curvature (r.Ar or p.Ap is zero), or a scalar of BiCGStab vanished: the operator is "
        "singular or indefinite along it, or skew-symmetric; use GMRES."
    ),
    Status.SINGULAR: (
        "The splitting is singular (a zero on the diagonal, or a matrix that cannot be factorised): "
        "use GMRES, BiCGStab or conjugate gradient, or rescale the system."
    ),
    Status.NON_FINITE: (
        "A NaN or infinity appeared: check the right-hand side and the operator's parameters; if both are finite "
        "the iteration diverges, so lower `relaxation` or use a Krylov solver."
    ),
    Status.BUFFER_TOO_SMALL: (
        "More iterations were asked for than unrolled differentiation has room to store: "
        "raise `iterations_cap`."
    ),
}
