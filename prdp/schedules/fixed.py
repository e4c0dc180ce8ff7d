"""A constant number of iterations."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer
from prdp.schedules.base import Schedule, given


class FixedState(NamedTuple):
    """The K in force."""

    iterations: Any


@dataclass(frozen=True)
class Fixed(Schedule):
    """The same K throughout: the paper's converged baseline, and one line of its figure 4.

    Args:
        iterations: K, at least 1; `None` for K_epsilon, which `resolved` fills in.

    Raises:
        ValueError: `iterations` is not a whole number >= 1.
    """

    iterations: int | None

    def __post_init__(self) -> None:
        integer("iterations", self.iterations, 1, LARGEST_K, null=True)

    def resolved(self, *, converged: int | None = None, **known: Any) -> "Fixed":
        """Return the schedule with K = K_epsilon where K was left open."""
        return self.filled(iterations=converged)

    def init(self) -> FixedState:
        """Return the state; it never changes."""
        return FixedState(given("iterations", self.iterations))

    def update(self, state: FixedState, metric: Any) -> tuple[FixedState, Any]:
        """Return the state as it is, and K."""
        return state, state.iterations

    @property
    def largest_iterations(self) -> int:
        """K."""
        return int(given("iterations", self.iterations))
