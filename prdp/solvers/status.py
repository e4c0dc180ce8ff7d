"""How a solve ended, in a number that fits in an array and a sentence that says what to try next."""

from enum import IntEnum


class Status(IntEnum):
    """The outcome of one system's solve. Ordered: the larger, the worse.

    A status rests on the measured residual `b - A u`, never on one that a recursion carries along. The value is an
    iterate where `has_value`, and NaN elsewhere, so that what has no meaning cannot be mistaken for a solution.
    Where a solve ends by `PRECISION_LIMIT`, `STAGNATED` or `BREAKDOWN` with a larger residual than it started from, the
    value is the initial guess.
    """

    CONVERGED = 0
    BUDGET_SPENT = 1
    PRECISION_LIMIT = 2
    STAGNATED = 3
    BREAKDOWN = 4
    SINGULAR = 5
    DIVERGED = 6
    NON_FINITE = 7
    BUFFER_TOO_SMALL = 8
    NOT_DIFFERENTIABLE = 9

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
    Status.PRECISION_LIMIT: (
        "The residual cannot fall further, since rounding errors of the product `A u` are as large as it is: "
        "compute in float64, or choose a larger `tolerance`."
    ),
    Status.STAGNATED: (
        "The residual no longer falls, and it is larger than rounding explains: the system is singular or the solver "
        "does not suit it; raise GMRES's `restart`, or precondition the system."
    ),
    Status.BREAKDOWN: (
        "A search direction had no curvature (r.Ar or p.Ap is zero), or a scalar of BiCGStab vanished: the operator is "
        "singular or indefinite along it, or skew-symmetric; use GMRES."
    ),
    Status.SINGULAR: (
        "A zero on the diagonal, no usable bound of the spectrum, or a matrix that is singular to working precision: "
        "use GMRES, BiCGStab or conjugate gradient, or remove the null space."
    ),
    Status.DIVERGED: (
        "The residual grew until no digit was left: the iteration does not converge for this operator; "
        "lower `relaxation` or the step size, or use a Krylov solver."
    ),
    Status.NON_FINITE: (
        "A NaN or infinity appeared: check the right-hand side, the guess and the operator's parameters."
    ),
    Status.BUFFER_TOO_SMALL: (
        "More iterations were asked for than unrolled differentiation has room to store: "
        "raise `iterations_cap`."
    ),
    Status.NOT_DIFFERENTIABLE: (
        "The solve started with a residual of exactly zero, where the iterates of a Krylov solver have no derivative, "
        "so the gradient is NaN: use `Implicit`, a stationary solver such as Jacobi, or another guess."
    ),
}
