"""Coarse physics for most of the training, converged physics at its end."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer
from prdp.schedules.base import Schedule, choose


class TwoStageState(NamedTuple):
    """K in force, and the metrics seen."""

    iterations: Any
    seen: Any


@dataclass(frozen=True)
class TwoStage(Schedule):
    """K = `iterations` for `after` intervals, then K = `final`: no controller at all.

    What the search of `prdp.suite.oracle` finds on Heat 1D, boiled down: the coarse stage may end at an error far above
    that of any converged training, and the fine stage makes up for most of it (86 % saved, the error a fifth higher).

    Args:
        iterations: K of the first stage, at least 1.
        final: K of the second.
        after: intervals of the first stage, at least 0.

    Raises:
        ValueError: an argument is outside its range.
    """

    iterations: int
    final: int
    after: int

    def __post_init__(self) -> None:
        for key, least in (("iterations", 1), ("final", 1), ("after", 0)):
            integer(key, getattr(self, key), least, LARGEST_K)

    def init(self) -> TwoStageState:
        """Return the state before any metric is known."""
        return TwoStageState(self.iterations, 0)

    def update(self, state: TwoStageState, metric: Any) -> tuple[TwoStageState, Any]:
        """Return the state after one more metric, which does not matter, and the K to use next."""
        # The first metric is the untrained model's.
        iterations = choose(state.seen >= self.after, self.final, self.iterations)
        return TwoStageState(iterations, state.seen + 1), iterations

    @property
    def largest_iterations(self) -> int:
        """The larger of both K."""
        return max(self.iterations, self.final)
