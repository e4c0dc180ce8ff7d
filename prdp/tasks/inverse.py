"""Inverse problem: find the parameters of the load from the solution."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from prdp.checks import Mismatch, is_number, one_of, shown
from prdp.data import TrajectoryData, reference_solution
from prdp.differentiation import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.physics.base import Physics, TimeStepper
from prdp.tasks.base import SolveSettings, SolveTotals, Task, check_output
from prdp.tasks.warm_start import Cache

LOSSES = ("half_mean_square", "half_sum_square", "mse")


class Inverse(Task):
    """Minimise the distance of `u^[K](theta)` to the reference `u_r = A^-1 b(theta_r)`.

    The validation metric is the relative parameter error `||theta - theta_r||_2 / ||theta_r||_2`.

    Args:
        physics: a physics with constant `A` and right-hand side `b(theta)`.
        operator: `A`.
        settings: how the physics is solved.
        reference: theta_r.
        loss: `half_mean_square`, `||u - u_r||^2 / (2 N)` with N unknowns, with which the paper's learning rates
            converge; `half_sum_square`, the paper's eq. 1; or `mse`, its appendix F.1.

    Raises:
        ValueError: If `loss` is unknown or, in `check`, if the reference has the wrong length or is zero.

    Source: paper, section 2.2 and appendix F.1.
    """

    samples = 1
    error_is_squared = False

    @classmethod
    def check(cls, physics: Physics, data: TrajectoryData | None, model: nnx.Module, **options: Any) -> None:
        """See `Task.check`. The task needs a steady physics, the vector theta as its model, and no data."""
        one_of("loss", options["loss"], LOSSES)
        reference = options["reference"]
        if not all(map(is_number, reference)):
            raise ValueError(f"reference={shown(list(reference))}: allowed are finite numbers")
        parameters = getattr(physics, "parameters", None)
        if isinstance(physics, TimeStepper) or not physics.operator_is_constant or parameters is None:
            raise Mismatch("physics", "allowed is a steady physics with parameters, such as physics=poisson")
        if data is not None:
            raise Mismatch("data", "the task makes its own reference: allowed is data=none")
        if len(reference) != parameters:
            allowed = f"a list of physics.parameters={parameters} numbers"
            raise ValueError(f"reference={shown(list(reference))}: allowed is {allowed}")
        if not any(reference):
            raise ValueError("reference: the relative error needs a reference that is not zero")
        allowed = f"a model that returns the vector of physics.parameters={parameters} numbers"
        check_output(model, (), (parameters,), f"allowed is {allowed}")

    def __init__(
        self,
        physics: Physics,
        operator: Operator,
        settings: SolveSettings,
        reference: Sequence[float],
        loss: str = "half_mean_square",
    ):
        one_of("loss", loss, LOSSES)
        self.physics, self.operator, self.settings = physics, operator, settings
        self.reference = np.asarray(reference, dtype=float)
        size = operator.size
        self.weight = {"half_mean_square": 0.5 / size, "half_sum_square": 0.5, "mse": 1 / size}[loss]

    def arrays(self) -> Any:
        """Return the operator, theta_r and u_r."""
        theta = jnp.asarray(self.reference, jnp.result_type(float))
        target = jnp.asarray(reference_solution(self.physics, self.reference), theta.dtype)
        return {"operator": self.operator, "theta": theta, "target": target}

    def loss(
        self,
        model: nnx.Module,
        arrays: Any,
        indices: Any,
        controls: Controls,
        stats: AdjointStats,
        cache: Cache = Cache(),
    ) -> tuple[Any, SolveTotals]:
        """Return the loss; there is only one sample."""
        guess = cache.guess(0)
        # Cached guesses have a sample axis, so the right-hand side needs one too.
        rhs = self.physics.rhs(model()) if guess.value is None else self.physics.rhs(model())[None]
        solution = self.settings(arrays["operator"], rhs, controls, stats.of_solve(0), guess)
        error = solution.value - arrays["target"]
        return self.weight * jnp.sum(error**2), SolveTotals.of(solution, guess)

    def validate(self, model: nnx.Module, arrays: Any) -> dict[str, Any]:
        """Return the relative parameter error."""
        error = jnp.linalg.norm(model() - arrays["theta"]) / jnp.linalg.norm(arrays["theta"])
        return {"val_error": error}

    def probe_systems(self) -> tuple[Operator, Any]:
        """Return the system at theta_r."""
        return self.operator, self.physics.rhs(jnp.asarray(self.reference, jnp.result_type(float)))
