"""The task contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from prdp.differentiation import AdjointCost, Controls, Mode, Solution
from prdp.linalg import Operator
from prdp.linear_solve import solve
from prdp.physics.base import TimeStepper, materialise
from prdp.solvers import Solver


@dataclass(frozen=True)
class SolveSettings:
    """How the physics is solved: what a task passes to `prdp.solve` besides the system and its `Controls`.

    `tolerance` is that of a converged solve. With `dense`, operators that change with the state are materialised at
    every solve.
    """

    solver: Solver
    differentiation: Mode
    tolerance: float
    dense: bool = False

    def __call__(
        self, operator: Operator, rhs: Float[Array, "..."], controls: Controls, cost: AdjointCost
    ) -> Solution:
        """Solve `operator` for `rhs` with at most so many iterations, or to a tolerance."""
        if self.dense:
            operator = materialise(operator)
        return solve(
            operator,
            rhs,
            solver=self.solver,
            differentiation=self.differentiation,
            iterations=controls.iterations,
            tolerance=controls.tolerance,
            adjoint_cost=cost,
        )

    def time_step(
        self,
        physics: TimeStepper,
        operator: Operator | None,
        state: Any,
        controls: Controls,
        cost: AdjointCost,
    ) -> Solution:
        """Solve for the state after `state`; `operator` is `None` where it changes with the state."""
        operator = physics.operator(state) if operator is None else operator
        return self(operator, physics.rhs(state), controls, cost)


class SolveTotals(NamedTuple):
    """What the solves of one update did.

    Attributes:
        executed: passes of the solver's loop (the largest K of the batch), summed over the solves.
        matvecs: products with `A` that the loop made for each sample, summed over the solves.
        residual_mean: relative residual, mean over the batch (and the solves).
        residual_max: relative residual, largest of the batch.
        status: the worst `Status` of the batch.
    """

    executed: Any
    matvecs: Any
    residual_mean: Any
    residual_max: Any
    status: Any

    @classmethod
    def of(cls, solution: Solution) -> "SolveTotals":
        """Return the totals of one solve."""
        return cls(
            jnp.max(solution.iterations),
            jnp.max(solution.matvecs),
            jnp.mean(solution.residual_norm),
            jnp.max(solution.residual_norm),
            jnp.max(solution.status),
        )

    @classmethod
    def over(cls, totals: list["SolveTotals"]) -> "SolveTotals":
        """Return the totals of several solves."""
        stacked = cls(*(jnp.stack(field) for field in zip(*totals, strict=True)))
        return cls(
            jnp.sum(stacked.executed),
            jnp.sum(stacked.matvecs),
            jnp.mean(stacked.residual_mean),
            jnp.max(stacked.residual_max),
            jnp.max(stacked.status),
        )


class Task(ABC):
    """A loss that the training loop can minimise without knowing what it is about.

    Attributes:
        samples: training samples, which `batch_size` must divide.
        solves_per_update: linear solves in one loss, each of which costs K.
        settings: how the physics is solved.
    """

    samples: int
    solves_per_update: int = 1
    settings: SolveSettings

    @abstractmethod
    def arrays(self) -> Any:
        """Return the pytree of data and constant operators that `loss` and `validate` are given."""

    @abstractmethod
    def loss(
        self, model: nnx.Module, arrays: Any, indices: Any, controls: Controls, cost: AdjointCost
    ) -> tuple[Any, SolveTotals]:
        """Return the loss of the samples at `indices` (float scalar), physics solved as `controls` say."""

    @abstractmethod
    def validate(self, model: nnx.Module, arrays: Any) -> dict[str, Any]:
        """Return float scalars by column name, `val_error` among them."""

    @abstractmethod
    def probe_systems(self) -> tuple[Operator, Any]:
        """Return the systems on which the number K_epsilon of converged iterations is measured."""


def relative_square(error: Float[Array, "n ..."], reference: Float[Array, "n ..."]) -> Float[Array, ""]:
    """Return `mean_i ||e_i||^2 / ||r_i||^2` (paper, eq. 56)."""
    axes = tuple(range(1, error.ndim))
    return jnp.mean(jnp.sum(error**2, axes) / jnp.sum(reference**2, axes))
