"""PRDP with the solver's tolerance in place of its number of iterations."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from prdp.checks import LARGEST_K, integer, within
from prdp.schedules.base import Schedule, as_float, choose, given
from prdp.schedules.prdp import PRDP, PRDPState, without_nan


class TolerancePRDPState(NamedTuple):
    """The state of `TolerancePRDP`: iteration limit, tolerance, and the `PRDPState` of the level (1, 2, ...).

    Attributes:
        iterations: the iteration limit of a solve, constant.
        tolerance: relative residual at which a solve stops.
        level: one plus the number of refinements; the other fields are those of `PRDPState`.
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
        """The state of the controller, with the level as its iterations."""
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
    """Tighten the tolerance when `PRDP` would raise K.

    A converged solve reaches `smallest` in `iterations`, so on average one iteration divides the residual by
    `smallest^(-1/iterations)`. After n refinements the tolerance is the residual after `start + n increment` such
    iterations,

        smallest^((start + n increment) / iterations),    at least `smallest`.

    The decisions are those of `PRDP` on the same metric, which must not be negative. The cost of a run is not known in
    advance; the executed iterations are counted.

    Args:
        iterations: the iteration limit of a solve, at least 1; `None` for K_epsilon, which `resolved` fills in.
        start: K_0, which sets the first tolerance, in average iterations.
        increment: Delta K of each refinement, in average iterations.
        smallest: the smallest tolerance, a relative residual between 0 and 1.
        tau_step: plateau threshold, see `PRDP`.
        tau_stop: adequacy threshold, see `PRDP`.
        grace_window: delta, see `PRDP`.
        smoothing_window: Delta e, see `PRDP`.
        checkpoint: the initial c, see `PRDP`.

    Raises:
        ValueError: If an argument is outside its range.

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
        # Computed in floats, since level times increment may exceed 32-bit integers.
        level = as_float(state.iterations, like=state.checkpoint)
        reached = (self.start + (level - 1.0) * self.increment) / self.largest_iterations
        tolerance = self.smallest ** choose(reached > 1.0, 1.0, reached)
        return TolerancePRDPState(self.largest_iterations, tolerance, *state)

    def resolved(self, *, converged: int | None = None, **known: Any) -> "TolerancePRDP":
        """Return the schedule with an iteration limit of K_epsilon if the limit was left open."""
        return self.filled(iterations=converged)

    def init(self) -> TolerancePRDPState:
        """Return the state before any metric is known."""
        return self._pack(self._controller().init())

    def update(self, state: TolerancePRDPState, metric: Any) -> tuple[TolerancePRDPState, Any]:
        """Return the state after one more metric, and the constant iteration limit.

        Raises:
            ValueError: If the metric is a negative number.
        """
        decided, _ = self._controller().update(state.controller, metric)
        return self._pack(decided), self.largest_iterations

    def restored(self, stored: dict[str, Any]) -> TolerancePRDPState:
        """Return the state from the JSON of a checkpoint, also from an earlier version whose states had NaN."""
        return super().restored(without_nan(stored))

    @property
    def largest_iterations(self) -> int:
        """The iteration limit of a solve."""
        return int(given("iterations", self.iterations))
