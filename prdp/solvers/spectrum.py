"""The base class of solvers whose coefficients come from bounds on the spectrum."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from prdp.checks import positive
from prdp.linalg import Operator
from prdp.solvers.base import Solver


@dataclass(frozen=True)
class SpectralSolver(Solver):
    """A solver for symmetric definite `A` (of either sign) with `m <= |lambda| <= L` for every eigenvalue.

    Bounds that are not given are Gershgorin bounds: `L = max_i sum_j |a_ij|` and `m = 2 min_i |a_ii| - L`. Both are
    differentiable. If rows differ, this `m` is lower than `min_i (2 |a_ii| - sum_j |a_ij|)`. If `m` is not positive,
    as for the Poisson equation, the operator is rejected, or reported as `SINGULAR` if its values are known only at
    run time.

    Args:
        smallest_eigenvalue: m, in units of `A`; positive also for a negative definite operator.
        largest_eigenvalue: L, in units of `A`; positive also for a negative definite operator.

    Raises:
        ValueError: If a bound is not positive, or if the smallest exceeds the largest.
    """

    requires_symmetric: ClassVar[bool] = True

    smallest_eigenvalue: float | None = None
    largest_eigenvalue: float | None = None

    def __post_init__(self) -> None:
        for key in ("smallest_eigenvalue", "largest_eigenvalue"):
            positive(key, getattr(self, key), null=True)
        smallest, largest = self.smallest_eigenvalue, self.largest_eigenvalue
        if smallest is not None and largest is not None and smallest > largest:
            raise ValueError(
                f"smallest_eigenvalue={smallest}: allowed is at most largest_eigenvalue={largest}"
            )

    def check(self, operator: Operator) -> None:
        """Check that the solver supports the operator, including its bounds if its values are known.

        Raises:
            ValueError: If the operator is not declared symmetric, or if its bounds are not usable.
        """
        super().check(operator)
        if not all(map(_is_known, jax.tree.leaves(operator))):
            return
        with jax.ensure_compile_time_eval():
            smallest, largest = map(float, self._bounds(operator))
            usable = bool(self.usable(operator))
        if usable:
            return
        if self.smallest_eigenvalue is None:
            raise ValueError(
                f"smallest_eigenvalue=null: Gershgorin's bound of this {type(operator).__name__} is "
                f"{smallest:.3g}, not positive; give a number"
            )
        raise ValueError(
            f"largest_eigenvalue=null: Gershgorin's bound of this {type(operator).__name__} is {largest:.3g}, "
            f"below smallest_eigenvalue={smallest:.3g}; give a smaller number, or give both"
        )

    def usable(self, operator: Operator) -> Bool[Array, ""]:
        """Whether the bounds satisfy `0 < m <= L`, with m above rounding level."""
        smallest, largest = self._bounds(operator)
        return (smallest > 4 * jnp.finfo(largest.dtype).eps * largest) & (smallest <= largest)

    def bounds(self, operator: Operator) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return m and L, or ones if the bounds are not usable."""
        usable = self.usable(operator)
        smallest, largest = (jnp.where(usable, bound, 1) for bound in self._bounds(operator))
        return smallest, largest

    def _bounds(self, operator: Operator) -> tuple[Array, Array]:
        diagonal, row_sum = jnp.abs(operator.diagonal()), operator.row_sum_bound()
        gershgorin = 2 * jnp.min(diagonal) - row_sum, row_sum
        given = self.smallest_eigenvalue, self.largest_eigenvalue
        smallest, largest = (
            jnp.asarray(bound if number is None else number, diagonal.dtype)
            for number, bound in zip(given, gershgorin, strict=True)
        )
        return smallest, largest


def definiteness(operator: Operator) -> Float[Array, ""]:
    """Return 1 for a positive definite and -1 for a negative definite operator, from the sign of the diagonal's sum."""
    return jnp.where(jnp.sum(operator.diagonal()) < 0, -1.0, 1.0)


def _is_known(leaf: Any) -> bool:
    return not isinstance(leaf, jax.core.Tracer | jax.ShapeDtypeStruct)
