"""A training that is advanced from outside, epoch by epoch: for searches, and for networks at chosen times."""

from typing import Any

from prdp.config import Config
from prdp.preparation import initialiser, prepare, scans_well
from prdp.training import Plan, compile_run, test_errors, traced_controls
from prdp.training.loop import shuffled


class Stepwise:
    """The training of a configuration on the minibatches of an ordinary run, one epoch per call.

    Args:
        config: the configuration of physics, model, optimiser, schedule, seed and epochs.

    Attributes:
        task: what is trained.
        graph: the graph of the network.
        schedule: the schedule of the configuration, which the caller follows or not.
        converged: K_epsilon.
        start: the state before the first epoch.
    """

    def __init__(self, config: Config):
        general = config.general
        self.task, self.schedule, self.converged = prepare(config)
        self.graph, initial = initialiser(config)
        self.start = initial(general.seed)._replace(cache=self.task.cold_cache())
        self._arrays = self.task.arrays()
        self._compiled = compile_run(
            self.task,
            self.graph,
            self.start,
            self._arrays,
            config.optimizer,
            general.batch_size,
            scans_well(config),
        )
        self._plan = Plan(general.epochs, general.batch_size, general.seed)

    def train(self, state: Any, epoch: int, iterations: Any, tolerance: float | None = None) -> Any:
        """Return the state after an epoch (counted from 1) with K = `iterations`. The given state is donated.

        `tolerance` replaces the relative tolerance of the task unless it is `None`.
        """
        tolerance = self.task.settings.tolerance if tolerance is None else tolerance
        order = shuffled(self._plan, self.task.samples, epoch)
        controls = traced_controls(iterations, tolerance)
        state, _ = self._compiled.train(state, self._arrays, order, controls)
        return state

    def validation_error(self, state: Any) -> float:
        """Return the error on the validation samples."""
        return float(self._compiled.validate(state.parameters, self._arrays)["val_error"])

    def test_error(self, state: Any) -> float:
        """Return the error on the held-out test set; NaN without one."""
        errors = test_errors(self.task, self._compiled, state.parameters, self._arrays)
        return float(errors["test_error"]) if errors else float("nan")
