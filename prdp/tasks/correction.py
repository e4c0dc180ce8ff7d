"""Correction: the solver stays in the loop, and the network corrects each of its time steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from prdp.checks import LARGEST_K, integer
from prdp.data import Trajectories, TrajectoryData
from prdp.differentiation import AdjointStats, Controls, Implicit
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
from prdp.tasks.warm_start import Cache, Guess


class Correction(Task):
    """Train a network `f` to correct a solver's steps, `c = P_K(u[t])`, `u[t+1] = c + f(c)`, towards a finer reference.

    The loss is `sum_(t = 1..unrolled_steps) mean((u[t] - u_r[t])^2)`, the mean over samples, channels and points.
    Gradients pass through the solves, each with K iterations. Since the solver is part of the trained model, validation
    rolls out with converged solves. Its metric is eq. 56 on one channel at `validation_step`.

    Columns: `val_error`, `val_error_step_<t>` for every t up to `validation_step`, and `val_residual_max`, the largest
    relative residual of the solves in validation. If it exceeds the tolerance, they did not converge.

    Args:
        physics: the time stepper.
        operator: `A` if it is constant, else `None`.
        settings: how the physics is solved.
        data: reference trajectories.
        unrolled_steps: the number of solver and network steps in the loss.
        validation_step: t of the metric.
        validation_channel: the channel of the metric (0: x-velocity).
        validation_iterations: the iteration limit of a converged solve.

    Raises:
        ValueError: If an argument is outside its range, or the trajectories are too short.

    Source: paper, section 4.4 and appendix F.4, figure 23; Um et al. 2020.
    """

    constant_solves = 1
    physics: TimeStepper

    @classmethod
    def check(cls, physics: Physics, data: TrajectoryData | None, model: nnx.Module, **options: Any) -> None:
        """See `Task.check`. The task needs trajectories and a network that maps fields to fields."""
        check_step("unrolled_steps", options["unrolled_steps"], data)
        check_step("validation_step", options["validation_step"], data)
        integer("validation_channel", options["validation_channel"], 0)
        integer("validation_iterations", options["validation_iterations"], 1, LARGEST_K)
        check_emulator(physics, data, model)
        channel, channels = options["validation_channel"], physics.shape[0]
        if channel >= channels:
            raise ValueError(f"validation_channel={channel}: allowed is 0 to {channels - 1}")

    def __init__(
        self,
        physics: TimeStepper,
        operator: Operator | None,
        settings: SolveSettings,
        data: Trajectories,
        unrolled_steps: int = 2,
        validation_step: int = 5,
        validation_channel: int = 0,
        validation_iterations: int = 120,
    ):
        longest = data.validation.shape[1] - 1
        for key, value, least, most in (
            ("unrolled_steps", unrolled_steps, 1, longest),
            ("validation_step", validation_step, 1, longest),
            ("validation_channel", validation_channel, 0, physics.shape[0] - 1),
            ("validation_iterations", validation_iterations, 1, 2**31 - 1),
        ):
            if not least <= value <= most:
                raise ValueError(f"{key}={value}: allowed is {least} to {most}")
        self.physics, self.operator, self.settings, self.data = physics, operator, settings, data
        self.solves_per_update = unrolled_steps
        self.validation_step, self.channel = validation_step, validation_channel
        self.validation_iterations = validation_iterations
        self.samples = data.train.shape[0]

    def arrays(self) -> Any:
        """Return the operator, the steps of the loss, and the validation trajectories."""
        return {
            "operator": self.operator,
            "train": jnp.asarray(self.data.train[:, : self.solves_per_update + 1]),
            "validation": jnp.asarray(self.data.validation),
        }

    def _step(
        self,
        settings: SolveSettings,
        model: nnx.Module,
        arrays: Any,
        state: Any,
        controls: Controls,
        stats: AdjointStats,
        guess: Guess = Guess(),
    ) -> tuple[Any, SolveTotals]:
        solution = settings.time_step(self.physics, arrays["operator"], state, controls, stats, guess)
        return solution.value + model(solution.value), SolveTotals.of(solution, guess)

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
        """Return the sum over the unrolled steps of the mean squared error."""
        reference = arrays["train"][indices]
        state, value, totals = reference[:, 0], jnp.zeros(()), []
        for t in range(1, self.solves_per_update + 1):
            # The first solve does not depend on the parameters. Asking for its adjoint's statistics would cause a
            # needless adjoint solve.
            asked = stats.of_solve(t - 1) if t > 1 else AdjointStats.zero()
            guess = cache.guess(t - 1)
            state, of_step = self._step(self.settings, model, arrays, state, controls, asked, guess)
            value = value + jnp.mean((state - reference[:, t]) ** 2)
            totals.append(of_step)
        return value, SolveTotals.over(totals)

    def validate(self, model: nnx.Module, arrays: Any) -> dict[str, Any]:
        """Return the errors of the rollout with converged physics, and the worst residual of its solves."""
        # Without a gradient the mode has no effect, but unrolled modes have no room for this many iterations.
        settings = dataclasses.replace(self.settings, differentiation=Implicit())
        converged = Controls(jnp.int32(self.validation_iterations), settings.tolerance)
        reference = arrays["validation"]

        def step(state: Any, target: Any) -> tuple[Any, Any]:
            state, totals = self._step(settings, model, arrays, state, converged, AdjointStats.zero())
            error = relative_square(state[:, self.channel] - target, target)
            return state, (error, totals.residual_max)

        targets = jnp.moveaxis(reference[:, 1 : self.validation_step + 1, self.channel], 1, 0)
        # A loop compiles the network only once, but some networks run slowly inside loops. Unroll the steps for those.
        unroll = 1 if getattr(model, "loops_well", True) else self.validation_step
        _, (errors, residuals) = jax.lax.scan(step, reference[:, 0], targets, unroll=unroll)
        columns = {f"val_error_step_{t}": error for t, error in enumerate(errors, 1)}
        return {"val_error": errors[-1], **columns, "val_residual_max": jnp.max(residuals)}

    def probe_systems(self) -> tuple[Operator, Any]:
        """Return the systems of the first step of the training trajectories."""
        states = jnp.asarray(self.data.train[:, 0])
        operator = self.operator if self.operator is not None else self.physics.operator(states)
        return operator, self.physics.rhs(states)
