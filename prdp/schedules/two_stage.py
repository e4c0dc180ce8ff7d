"""Coarse physics for most of the training, converged physics at the end."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer
from prdp.schedules.base import Schedule, choose, given


class TwoStageState(NamedTuple):
    """The current K, and the number of metrics seen."""

    iterations: Any
    seen: Any


@dataclass(frozen=True)
class TwoStage(Schedule):
    """Use K = `iterations` for `after` intervals, then K = `final`, without a controller.

    This simplifies what the search of `prdp.suite.oracle` finds on Heat 1D. The coarse stage may end at an error far
    above that of converged training, and the fine stage recovers most of it (86 % saved, the error 20 % higher).

    Args:
        iterations: K of the first stage, at least 1.
        final: K of the second stage; `None` for K_epsilon, which `resolved` fills in.
        after: intervals of the first stage, at least 0; `None` for nine tenths of the epochs, which `resolved` fills
            in.

    Raises:
        ValueError: If an argument is outside its range.

    Source: ours.
    """

    iterations: int
    final: int | None
    after: int | None

    def __post_init__(self) -> None:
        integer("iterations", self.iterations, 1, LARGEST_K)
        integer("final", self.final, 1, LARGEST_K, null=True)
        integer("after", self.after, 0, LARGEST_K, null=True)

    def resolved(
        self, *, converged: int | None = None, epochs: int | None = None, **known: Any
    ) -> "TwoStage":
        """Return the schedule with `final` = K_epsilon and `after` = nine tenths of the epochs, if these are open."""
        return self.filled(final=converged, after=None if epochs is None else 9 * epochs // 10)

    def init(self) -> TwoStageState:
        """Return the state before any metric is known."""
        return TwoStageState(self.iterations, 0)

    def update(self, state: TwoStageState, metric: Any) -> tuple[TwoStageState, Any]:
        """Return the state after one more metric, whose value is ignored, and the K to use next."""
        # The first metric is that of the untrained model.
        final, after = given("final", self.final), given("after", self.after)
        iterations = choose(state.seen >= after, final, self.iterations)
        return TwoStageState(iterations, state.seen + 1), iterations

    @property
    def largest_iterations(self) -> int:
        """The larger of the two K."""
        return max(self.iterations, given("final", self.final))
