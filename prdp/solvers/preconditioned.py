"""Right preconditioning of solvers for general operators."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from prdp.linalg import Operator
from prdp.solvers.base import Solver, start
from prdp.solvers.chebyshev import Chebyshev
from prdp.solvers.fourier import Fourier
from prdp.solvers.multigrid import Multigrid
from prdp.solvers.preconditioner import Diagonal, PreconditionedOperator, Preconditioner
from prdp.solvers.richardson import Richardson
from prdp.solvers.ssor import SSOR


class PreconditionedState(NamedTuple):
    """The inner solver's state for `A P y = r_0`, the guess `u_0`, `r_0 = b - A u_0`, the residual, and the failure."""

    inner: Any
    guess: Array
    rhs: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Preconditioned(Solver):
    """Right preconditioning: `solver` solves `A P y = b - A u_0`, and `u = u_0 + P y`.

    The residual is that of the original system, so the tolerance has the same meaning as without preconditioning. The
    adjoint solve uses the preconditioner of `A^T`. A product with `A P` counts as one product with `A` and those of
    `P`, see `Preconditioner.products`.

    Args:
        solver: GMRES, BiCGStab, or Richardson with a step size (1 for a good preconditioner). For CG, see `PCG`.
        preconditioner: e.g. `prdp.Diagonal()`, `prdp.Multigrid()` or `prdp.Approximate(P)`.

    Raises:
        ValueError: If the solver is not preconditionable.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, section 9.3.2.
    """

    solver: Solver
    preconditioner: Preconditioner

    def __post_init__(self) -> None:
        steps = isinstance(self.solver, Richardson) and self.solver.step_size is not None
        if not (self.solver.preconditionable or steps):
            raise ValueError(
                f"{type(self.solver).__name__} cannot be preconditioned: allowed are GMRES, BiCGStab, and Richardson "
                "with a step size; for CG, use PCG(preconditioner)"
            )

    @property
    def measures_residual(self) -> bool:
        """As for the inner solver."""
        return self.solver.measures_residual

    @property
    def matvecs_per_iteration(self) -> int:
        """Those of the inner solver, each with the products that `P` takes."""
        return self.solver.matvecs_per_iteration * (1 + self.preconditioner.products)

    def check(self, operator: Operator) -> None:
        """Check that both the solver and the preconditioner support the operator.

        Raises:
            ValueError: If either does not.
        """
        self.solver.check(operator)
        self.preconditioner.check(operator)

    def prepare(self, operator: Operator) -> PreconditionedOperator:
        """Return `A P`."""
        return PreconditionedOperator(operator, self.preconditioner.inverse(operator))

    def transpose(self) -> "Preconditioned":
        """Return the solver for `A^T`, with a preconditioner for it."""
        return Preconditioned(self.solver, self.preconditioner.transpose())

    def system(self, prepared: Operator) -> Operator:
        """Return `A`."""
        assert isinstance(prepared, PreconditionedOperator)
        return prepared.original

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> PreconditionedState:
        """Return the state at `guess`."""
        assert isinstance(operator, PreconditionedOperator)
        value, residual, _ = start(operator.original, rhs, guess)
        inner = self.solver.init(operator, residual, None)
        return PreconditionedState(inner, value, residual, inner.residual, inner.failure)

    def step(
        self, operator: Operator, rhs: Float[Array, "..."], state: PreconditionedState
    ) -> PreconditionedState:
        """Return the state after one iteration of the inner solver."""
        inner = self.solver.step(operator, state.rhs, state.inner)
        return state._replace(inner=inner, residual=inner.residual, failure=inner.failure)

    def solution(self, operator: Operator, state: PreconditionedState) -> Float[Array, "..."]:
        """Return `u_0 + P y`."""
        assert isinstance(operator, PreconditionedOperator)
        return state.guess + operator.inverse.mv(self.solver.solution(operator, state.inner))


# By the name that the key `solver.preconditioner` has.
PRECONDITIONERS: dict[str, type[Preconditioner] | None] = {
    "none": None,
    "jacobi": Diagonal,
    "fourier": Fourier,
    "ssor": SSOR,
    "chebyshev": Chebyshev,
    "multigrid": Multigrid,
}
