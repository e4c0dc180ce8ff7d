"""The outcome of a solve, as an integer code with one sentence of advice."""

from enum import IntEnum


class Status(IntEnum):
    """The outcome of one system's solve, ordered from best to worst.

    A status is based on the measured residual `b - A u`, never on the residual of a recursion. The solution is an
    iterate if `has_value`, and NaN otherwise, so that a failed solve cannot be mistaken for a solution. If a solve ends
    with `PRECISION_LIMIT`, `STAGNATED` or `BREAKDOWN` and a larger residual than initially, the solution is the
    initial guess.
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
        """Whether a solve with this status returns an iterate (not NaN)."""
        return self <= Status.BREAKDOWN

    @property
    def advice(self) -> str:
        """One sentence that says what happened and what to try next."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "The relative residual is below the tolerance.",
    Status.BUDGET_SPENT: (
        "All iterations were used before the tolerance was reached. This is expected while refining; "
        "otherwise raise `iterations`, loosen `tolerance` or use a faster solver."
    ),
    Status.PRECISION_LIMIT: (
        "The residual cannot decrease further, because it has reached the rounding errors of the product `A u`: "
        "compute in float64, or choose a larger `tolerance`."
    ),
    Status.STAGNATED: (
        "The residual no longer decreases, and it is too large to be due to rounding: the system is singular, or the "
        "solver does not suit it; raise the `restart` of GMRES, or precondition the system."
    ),
    Status.BREAKDOWN: (
        "A search direction has no curvature (r.Ar or p.Ap is zero), or a scalar of BiCGStab vanished: the operator is "
        "singular, indefinite or skew-symmetric; use GMRES."
    ),
    Status.SINGULAR: (
        "The diagonal has a zero, the spectrum has no usable bound, or the matrix is singular to working precision: "
        "use GMRES, BiCGStab or conjugate gradient, or remove the null space."
    ),
    Status.DIVERGED: (
        "The residual grew until no correct digit was left: the iteration does not converge for this operator; "
        "lower `relaxation` or the step size, or use a Krylov solver."
    ),
    Status.NON_FINITE: (
        "A NaN or infinity occurred: check the right-hand side, the guess and the operator's parameters."
    ),
    Status.BUFFER_TOO_SMALL: (
        "The requested iterations exceed the capacity for storing iterates in unrolled differentiation: "
        "raise `iterations_cap`."
    ),
    Status.NOT_DIFFERENTIABLE: (
        "The initial residual is exactly zero, where the iterates of a Krylov solver have no derivative, "
        "so the gradient is NaN: use `Implicit`, a stationary solver such as Jacobi, or another guess."
    ),
}
