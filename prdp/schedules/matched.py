"""The least number of iterations that the network's own error cannot tell from convergence."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, flag, integer, is_number, require, shown, within
from prdp.schedules.base import Schedule, choose, given, is_finite


class MatchedState(NamedTuple):
    """The K in force, and whether the last update raised it."""

    iterations: Any
    refined: Any


@dataclass(frozen=True)
class Matched(Schedule):
    """The smallest K whose physics error, and that of every larger K, is below `fraction` times the metric.

    The physics error by K is known beforehand: how far `u^[K]` is from the solution, in the units of the metric (see
    `prdp.training.physics_errors`). `K = cap` where no error is below. A metric that is negative or not finite
    keeps K.

    Args:
        errors: the physics errors of K = 1, 2, ..., at least one; `None` until `resolved` fills them in.
        fraction: how far below the metric the physics error has to stay, above 0. Where both are squares, 0.01 is a
            tenth of the norm. Too large a fraction upholds itself: the metric settles on the bias that it allows.
        monotone: never lower K again when the metric rises.
        cap: the largest K; `None` for K_epsilon, which `resolved` fills in, or else the number of errors.
        least: the first K, and the least; with a cap below it, the cap.

    Raises:
        ValueError: an argument is outside its range.

    Source: ours. It takes the paper's reason for incomplete convergence at its word (section 2.3: a physics that is
    more accurate than the network can be is of no use), with a curve that PRDP goes without.
    """

    errors: tuple[float, ...] | None
    fraction: float = 0.01
    monotone: bool = True
    cap: int | None = None
    least: int = 1

    def __post_init__(self) -> None:
        if self.errors is not None:
            self._check_errors()
        within("fraction", self.fraction, lambda x: x > 0, "a number > 0")
        flag("monotone", self.monotone)
        integer("cap", self.cap, 1, LARGEST_K, null=True)
        integer("least", self.least, 1, LARGEST_K)

    def _check_errors(self) -> None:
        known = self.errors if isinstance(self.errors, Sequence) and not isinstance(self.errors, str) else ()
        usable = len(known) > 0 and all(is_number(error) and error >= 0 for error in known)
        told = shown(list(known) if known or self.errors == () else self.errors)
        require(usable, "errors", told, "a list of numbers >= 0")

    @property
    def needs_errors(self) -> bool:
        """Whether the errors were left open."""
        return self.errors is None

    def resolved(
        self,
        *,
        converged: int | None = None,
        errors: tuple[float, ...] | None = None,
        **known: Any,
    ) -> "Matched":
        """Return the schedule with the cap K_epsilon and the physics errors, where these were left open."""
        return self.filled(cap=converged, errors=errors)

    def init(self) -> MatchedState:
        """Return the state before the first metric, which is that of the untrained model."""
        return MatchedState(min(self.least, self.largest_iterations), False)

    def update(self, state: MatchedState, metric: Any) -> tuple[MatchedState, Any]:
        """Return the state after one more metric, and the K to use next."""
        usable = is_finite(metric) & (metric >= 0)
        wanted = self._sufficient(self.fraction * choose(usable, metric, 0.0))
        least = state.iterations if self.monotone else self.init().iterations
        wanted = choose(wanted < least, least, wanted)
        iterations = choose(usable, wanted, state.iterations)
        return MatchedState(iterations, iterations > state.iterations), iterations

    def _sufficient(self, allowed: Any) -> Any:
        """Return the smallest K from which on all errors are below `allowed`, at most the largest K."""
        too_large = sum(choose(error < allowed, 0, 1) for error in largest_from(given("errors", self.errors)))
        most = self.largest_iterations
        # No error below: nothing is known of a larger K.
        wanted = choose(too_large == len(given("errors", self.errors)), most, too_large + 1)
        return choose(wanted > most, most, wanted)

    @property
    def largest_iterations(self) -> int:
        """The cap, or the number of errors."""
        return len(given("errors", self.errors)) if self.cap is None else self.cap


def largest_from(errors: Sequence[float]) -> list[float]:
    """Return the largest error of each K and above, which never rises with K."""
    return list(accumulate(reversed(errors), max))[::-1]
