"""A constant number of iterations."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer
from prdp.schedules.base import Schedule, given


class FixedState(NamedTuple):
    """The constant K."""

    iterations: Any


@dataclass(frozen=True)
class Fixed(Schedule):
    """The same K throughout training: the paper's converged baseline, and the runs of its figure 4.

    Args:
        iterations: K, at least 1; `None` for K_epsilon, which `resolved` fills in.

    Raises:
        ValueError: If `iterations` is not an integer >= 1.

    Source: paper, figure 4.
    """

    iterations: int | None

    def __post_init__(self) -> None:
        integer("iterations", self.iterations, 1, LARGEST_K, null=True)

    def resolved(self, *, converged: int | None = None, **known: Any) -> "Fixed":
        """Return the schedule with K = K_epsilon if K was left open."""
        return self.filled(iterations=converged)

    def init(self) -> FixedState:
        """Return the state, which never changes."""
        return FixedState(given("iterations", self.iterations))

    def update(self, state: FixedState, metric: Any) -> tuple[FixedState, Any]:
        """Return the unchanged state, and K."""
        return state, state.iterations

    @property
    def largest_iterations(self) -> int:
        """The K of all intervals."""
        return int(given("iterations", self.iterations))
