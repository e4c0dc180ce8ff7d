"""A linear ramp of the number of iterations."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer
from prdp.schedules.base import Schedule, check_cap, choose, given


class LinearState(NamedTuple):
    """The current K, the intervals since its last increase, and whether the last update raised it."""

    iterations: Any
    elapsed: Any
    refined: Any


@dataclass(frozen=True)
class Linear(Schedule):
    """`K_t = min(K_0 + increment * floor(t / interval), cap)` after `t` training intervals.

    This is the hand-made schedule of the paper's figure 3. It ignores the metric.

    Args:
        iterations: K_0, at least 1.
        increment: the increase of K, at least 1.
        cap: the largest K; `None` for K_epsilon, which `resolved` fills in. Without a value K has no limit.
        interval: training intervals between two increases, at least 1.

    Raises:
        ValueError: If an argument is not an integer in its range.

    Source: paper, section 2.2.
    """

    iterations: int
    increment: int
    cap: int | None
    interval: int = 1

    def __post_init__(self) -> None:
        for key in ("iterations", "increment", "interval"):
            integer(key, getattr(self, key), 1, LARGEST_K)
        check_cap(self.cap, self.iterations, null=True)

    def resolved(self, *, converged: int | None = None, **known: Any) -> "Linear":
        """Return the schedule with the cap `max(K_epsilon, iterations)` if the cap was left open."""
        return self.filled(cap=None if converged is None else max(converged, self.iterations))

    def init(self) -> LinearState:
        """Return the state before the first metric, that of the untrained model."""
        return LinearState(self.iterations, -1, False)

    def update(self, state: LinearState, metric: Any) -> tuple[LinearState, Any]:
        """Return the state of the next interval, and K. The first call (untrained model) only starts the count."""
        elapsed = state.elapsed + 1
        due = elapsed >= self.interval
        raised = state.iterations + self.increment
        raised = choose(raised > self._most, self._most, raised)
        iterations = choose(due, raised, state.iterations)
        refined = iterations > state.iterations
        state = LinearState(iterations, choose(due, 0, elapsed), refined)
        return state, iterations

    @property
    def _most(self) -> int:
        return LARGEST_K if self.cap is None else self.cap

    @property
    def largest_iterations(self) -> int:
        """The cap.

        Raises:
            ValueError: If there is no cap.
        """
        return int(given("cap", self.cap))
