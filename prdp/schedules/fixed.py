"""A constant number of iterations."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer
from prdp.schedules.base import Schedule


class FixedState(NamedTuple):
    """The K in force."""

    iterations: Any


@dataclass(frozen=True)
class Fixed(Schedule):
    """The same K throughout: the paper's converged baseline, and one line of its figure 4.

    Args:
        iterations: K, at least 1.

    Raises:
        ValueError: `iterations` is not a whole number >= 1.
    """

    iterations: int

    def __post_init__(self) -> None:
        integer("iterations", self.iterations, 1, LARGEST_K)

    def init(self) -> FixedState:
        """Return the state; it never changes."""
        return FixedState(self.iterations)

    def update(self, state: FixedState, metric: Any) -> tuple[FixedState, Any]:
        """Return the state as it is, and K."""
        return state, state.iterations

    @property
    def largest_iterations(self) -> int:
        """K."""
        return self.iterations
