"""Mixed chain: the network makes the first time step, the physics the second."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from prdp.checks import one_of
from prdp.data import Trajectories, TrajectoryData
from prdp.differentiation import AdjointStats, Controls
from prdp.linalg import Operator
from prdp.physics.base import Physics, TimeStepper
from prdp.tasks.base import (
    SolveSettings,
    SolveTotals,
    Task,
    check_emulator,
    check_step,
    parts_of,
    relative_square,
)
from prdp.tasks.warm_start import Cache

LOSSES = ("mse", "nmse")
NORMALISATIONS = ("same_step", "previous_step")


class MixedChain(Task):
    """Train an emulator `f` of the time step through the physics: fit `u^[2] = P_K(f(u^[0]))` to the reference.

    Validation rolls out the network alone. Its metric is the error at `validation_step` (paper, eq. 56),

        mean_i ||u_i[t] - u_i,r[t]||^2 / ||u_i,r[t]||^2.

    Columns: `val_error` (as configured), `val_error_step_<t>` for every t up to `validation_step` (eq. 56), and
    `val_error_previous_step`, the same error divided by `||u_i,r[t-1]||^2` as in the released code.

    Args:
        physics: the time stepper.
        operator: `A` if it is constant, else `None`.
        settings: how the physics is solved.
        data: reference trajectories.
        loss: `mse` (released code), or `nmse`, normalised by the reference of each sample (paper, F.2).
        validation_step: t of the metric.
        normalisation: `same_step` (eq. 56) or `previous_step` (released code).

    Raises:
        ValueError: If an argument is outside its range, or the trajectories are too short.

    Source: paper, section 2.3 and appendix F.2, figure 22.
    """

    physics: TimeStepper

    @classmethod
    def check(cls, physics: Physics, data: TrajectoryData | None, model: nnx.Module, **options: Any) -> None:
        """See `Task.check`. The task needs trajectories and a network that maps fields to fields."""
        one_of("loss", options["loss"], LOSSES)
        one_of("normalisation", options["normalisation"], NORMALISATIONS)
        check_step("validation_step", options["validation_step"], data)
        check_emulator(physics, data, model)

    def __init__(
        self,
        physics: TimeStepper,
        operator: Operator | None,
        settings: SolveSettings,
        data: Trajectories,
        loss: str = "mse",
        validation_step: int = 2,
        normalisation: str = "same_step",
    ):
        one_of("loss", loss, LOSSES)
        one_of("normalisation", normalisation, NORMALISATIONS)
        longest = data.validation.shape[1] - 1
        if not 1 <= validation_step <= longest:
            raise ValueError(f"validation_step={validation_step}: allowed is 1 to data.steps ({longest})")
        self.physics, self.operator, self.settings, self.data = physics, operator, settings, data
        self.normalised_loss = loss == "nmse"
        self.validation_step, self.normalisation = validation_step, normalisation
        self.samples = data.train.shape[0]

    def arrays(self) -> Any:
        """Return the operator, inputs and targets of the loss, and the validation trajectories."""
        train = self.data.train
        return {
            "operator": self.operator,
            "inputs": jnp.asarray(train[:, 0]),
            "targets": jnp.asarray(train[:, 2]),
            "validation": jnp.asarray(self.data.validation),
        }

    def test_arrays(self, arrays: Any) -> list[Any]:
        """See `Task.test_arrays`."""
        parts = parts_of(self.data.test, len(self.data.validation))
        return [{**arrays, "validation": part} for part in parts]

    def loss(
        self,
        model: nnx.Module,
        arrays: Any,
        indices: Any,
        controls: Controls,
        stats: AdjointStats,
        cache: Cache = Cache(),
    ) -> tuple[Any, SolveTotals]:
        """Return the error after the network step and the physics step, averaged over batch and space."""
        target = arrays["targets"][indices]
        prior = model(arrays["inputs"][indices])
        guess = cache.guess(0)
        own = stats.of_solve(0)
        solution = self.settings.time_step(self.physics, arrays["operator"], prior, controls, own, guess)
        squared = (solution.value - target) ** 2
        if self.normalised_loss:
            axes = tuple(range(1, target.ndim))
            value = jnp.mean(jnp.sum(squared, axes) / jnp.sum(target**2, axes))
        else:
            value = jnp.mean(squared)
        return value, SolveTotals.of(solution, guess)

    def validate(self, model: nnx.Module, arrays: Any) -> dict[str, Any]:
        """Return the errors of the network's own rollout."""
        reference = arrays["validation"]
        state, columns = reference[:, 0], {}
        for t in range(1, self.validation_step + 1):
            state = model(state)
            error = state - reference[:, t]
            columns[f"val_error_step_{t}"] = relative_square(error, reference[:, t])
        columns["val_error_previous_step"] = relative_square(error, reference[:, self.validation_step - 1])
        same = columns[f"val_error_step_{self.validation_step}"]
        previous = columns["val_error_previous_step"]
        return {"val_error": same if self.normalisation == "same_step" else previous, **columns}

    def probe_systems(self) -> tuple[Operator, Any]:
        """Return the systems of the second step, built from the reference states after the first."""
        states = jnp.asarray(self.data.train[:, 1])
        return self.physics.operator(states), self.physics.rhs(states)
