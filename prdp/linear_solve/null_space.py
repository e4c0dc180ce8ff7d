"""Systems whose operator has constants in its null space, such as periodic Laplacians."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from prdp.checks import one_of
from prdp.differentiation import Controls, Problem, Solution
from prdp.linalg import CoupledStencil, Operator, Stencil, norm, promoting, relative_norm
from prdp.linalg.shifted import Shifted
from prdp.solvers import Solver, Status

NULL_SPACES = ("constant",)


@dataclass(frozen=True)
class NullSpace:
    """The constants along the trailing axes of a field, if `A 1 = 0` and `A^T 1 = 0`; none without axes.

    `u = A^+ b` is the solution of `A u = P b` with `P u = u`, where `P` subtracts the mean. All derivatives follow from
    those of the solve and of `P`. Iterative solvers stay in the range of `A` and solve the singular system as it is.
    Factorisations solve `A + s 1 1^T / n` instead, which has the same solution.

    Args:
        axes: the number of trailing axes.
    """

    axes: int = 0

    @classmethod
    def of(cls, name: str | None, operator: Operator) -> "NullSpace":
        """Return the null space that an argument `null_space` names.

        Raises:
            ValueError: If it is not known, or not known for this operator.
        """
        if name is None:
            return cls()
        one_of("null_space", name, NULL_SPACES, "None")
        if isinstance(operator, CoupledStencil):
            raise ValueError(
                "null_space='constant': not known for a CoupledStencil; pin the null space, see couple"
            )
        return cls(len(operator.grid) if isinstance(operator, Stencil) else operator.rank)

    def projected(self, field: Any) -> Any:
        """Return a field minus its mean, and `None` for `None`."""
        if field is None or not self.axes:
            return field
        return field - jnp.mean(field, axis=tuple(range(-self.axes, 0)), keepdims=True)

    def project(self, problem: Problem, solver: Solver) -> Problem:
        """Return the problem to solve: projected fields, and for a factorisation an operator that is not singular."""
        if not self.axes:
            return problem
        operator, *fields = problem
        operator = operator if solver.is_iterative else Shifted(operator, self.axes)
        return Problem(operator, *map(self.projected, fields))

    def verify(self, solution: Solution, operator: Operator, rhs: Any, controls: Controls) -> Solution:
        """Return the projected solution with its own residual, measured by one product.

        If that is larger than the solve's, the constants are not the null space, and the status is `STAGNATED`.
        """
        return _verify(self, solution, operator, rhs, controls) if self.axes else solution


@partial(jax.jit, static_argnums=0)
@promoting
def _verify(
    null: NullSpace, solution: Solution, operator: Operator, rhs: Any, controls: Controls
) -> Solution:
    value = null.projected(solution.value)
    fixed, system, b = jax.lax.stop_gradient((value, operator, rhs))
    residual = relative_norm(b - system.mv(fixed), norm(b, system.rank), system.rank)
    measured, status = solution.residual_norm, solution.status
    rounding = 100 * jnp.finfo(residual.dtype).eps
    lost = (residual > 2 * measured + rounding) & (residual >= controls.relative_to(b, system.rank))
    return solution._replace(
        value=value,
        residual_norm=residual,
        matvecs=solution.matvecs + 1,
        status=jnp.where(lost & (status <= Status.PRECISION_LIMIT), jnp.int32(Status.STAGNATED), status),
    )
