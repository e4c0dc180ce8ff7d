"""PRDP over the solver's tolerance instead of its number of iterations."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from prdp.checks import LARGEST_K, integer, within
from prdp.schedules.base import Schedule, as_float, choose, given
from prdp.schedules.prdp import PRDP, PRDPState, without_nan


class TolerancePRDPState(NamedTuple):
    """The budget, the tolerance in force, and what `PRDPState` has for the level (1, 2, ...).

    Attributes:
        iterations: the most iterations of a solve, constant.
        tolerance: relative residual at which a system leaves.
        level: the number of tolerances so far; the other fields are those of `PRDPState`.
    """

    iterations: Any
    tolerance: Any
    level: Any
    checkpoint: Any
    average: Any
    recent: tuple[Any, ...]
    seen: Any
    passed_over: Any
    decided: Any
    against_window: Any
    against_checkpoint: Any
    refined: Any

    @property
    def controller(self) -> PRDPState:
        """The state of the controller, whose iterations are the level."""
        return PRDPState(*self[2:])

    @property
    def smoothed(self) -> Any:
        """See `PRDPState`."""
        return self.controller.smoothed

    @property
    def ratio_step(self) -> Any:
        """See `PRDPState`."""
        return self.controller.ratio_step

    @property
    def ratio_stop(self) -> Any:
        """See `PRDPState`."""
        return self.controller.ratio_stop


@dataclass(frozen=True)
class TolerancePRDP(Schedule):
    """Tighten the tolerance where `PRDP` would raise K.

    A converged solve takes `iterations` to reach `smallest`, so on average an iteration divides the residual by
    `smallest^(-1/iterations)`. The tolerance after n refinements is what `start + n increment` such iterations reach,

        smallest^((start + n increment) / iterations),    at least `smallest`.

    The decisions are those of `PRDP` on the same metric, which must not be negative. What a run costs is not known
    beforehand but counted: the iterations executed.

    Args:
        iterations: the most iterations of a solve, at least 1; `None` for K_epsilon, which `resolved` fills in.
        start: the first tolerance, in average iterations: K_0.
        increment: of each refinement, likewise: Delta K.
        smallest: the last tolerance, between 0 and 1.
        tau_step: see `PRDP`, as the four below.
        tau_stop: adequacy threshold.
        grace_window: delta.
        smoothing_window: Delta e.
        checkpoint: the first c.

    Raises:
        ValueError: an argument is outside its range.

    Source: paper, appendix F, figure 13.
    """

    steers_tolerance: ClassVar[bool] = True

    iterations: int | None
    start: int = 1
    increment: int = 1
    smallest: float = 1e-5
    tau_step: float = 0.95
    tau_stop: float = 0.9
    grace_window: int = 3
    smoothing_window: int = 6
    checkpoint: float = 100.0

    def __post_init__(self) -> None:
        integer("iterations", self.iterations, 1, LARGEST_K, null=True)
        for key in ("start", "increment"):
            integer(key, getattr(self, key), 1, LARGEST_K)
        within("smallest", self.smallest, lambda x: 0 < x < 1, "0 < smallest < 1")
        self._controller()

    def _controller(self) -> PRDP:
        return PRDP(
            tau_step=self.tau_step,
            tau_stop=self.tau_stop,
            grace_window=self.grace_window,
            smoothing_window=self.smoothing_window,
            checkpoint=self.checkpoint,
        )

    def _pack(self, state: PRDPState) -> TolerancePRDPState:
        # In floats: a level times an increment may be no 32-bit integer.
        level = as_float(state.iterations, like=state.checkpoint)
        reached = (self.start + (level - 1.0) * self.increment) / self.largest_iterations
        tolerance = self.smallest ** choose(reached > 1.0, 1.0, reached)
        return TolerancePRDPState(self.largest_iterations, tolerance, *state)

    def resolved(self, *, converged: int | None = None, **known: Any) -> "TolerancePRDP":
        """Return the schedule with a budget of K_epsilon where it was left open."""
        return self.filled(iterations=converged)

    def init(self) -> TolerancePRDPState:
        """Return the state before any metric is known."""
        return self._pack(self._controller().init())

    def update(self, state: TolerancePRDPState, metric: Any) -> tuple[TolerancePRDPState, Any]:
        """Return the state after one more metric, and the budget, which stays.

        Raises:
            ValueError: the metric is a negative number.
        """
        decided, _ = self._controller().update(state.controller, metric)
        return self._pack(decided), self.largest_iterations

    def restored(self, stored: dict[str, Any]) -> TolerancePRDPState:
        """Return the state that a checkpoint's JSON holds, be it of a version whose states had NaN."""
        return super().restored(without_nan(stored))

    @property
    def largest_iterations(self) -> int:
        """The budget of a solve."""
        return int(given("iterations", self.iterations))
