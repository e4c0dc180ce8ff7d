"""Richardson iteration."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import within
from prdp.linalg import Operator
from prdp.solvers.base import Solver, flag, start
from prdp.solvers.status import Status


class RichardsonState(NamedTuple):
    """The current iterate, its residual `b - A u`, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Richardson(Solver):
    """Richardson iteration `u <- u + omega (b - A u)`, which is gradient descent if `A` is SPD.

    For definite `A`, it converges if `0 < omega lambda < 2` for every eigenvalue `lambda`.

    Args:
        step_size: omega, in units of `1/A`; negative for a negative definite operator. The default is one over the
            largest absolute row sum, with the sign of the diagonal, which converges for every definite operator.

    Raises:
        ValueError: If `step_size` is 0 or not finite.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, section 4.2.1.
    """

    has_splitting: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True

    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.step_size == 0:
            raise ValueError("step_size=0: allowed is any other number, or null")
        within("step_size", self.step_size, lambda x: x != 0, "a finite number other than 0", null=True)

    @property
    def measures_residual(self) -> bool:
        """True: every step computes `b - A u`."""
        return True

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> RichardsonState:
        """Return the state at `guess`. An operator without a usable step size sets the failure `SINGULAR`."""
        value, residual, failure = start(operator, rhs, guess)
        if self.step_size is None:
            failure = flag(failure, operator.row_sum_bound() == 0, Status.SINGULAR)
        return RichardsonState(value, residual, failure)

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: RichardsonState) -> RichardsonState:
        """Return the state after one iteration, which costs one product with `A`."""
        value = state.value + self.correction(operator, state.residual)
        return RichardsonState(value, rhs - operator.mv(value), state.failure)

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `omega r`."""
        return self._omega(operator) * residual

    def _omega(self, operator: Operator) -> Array | float:
        if self.step_size is not None:
            return self.step_size
        bound = operator.row_sum_bound()
        sign = jnp.where(jnp.sum(operator.diagonal()) < 0, -1, 1)
        return sign / jnp.where(bound == 0, 1, bound)
