"""The smallest K whose physics error is negligible next to the network's own error."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, flag, integer, is_number, require, shown, within
from prdp.schedules.base import Schedule, choose, given, is_finite


class MatchedState(NamedTuple):
    """The current K, and whether the last update raised it."""

    iterations: Any
    refined: Any


@dataclass(frozen=True)
class Matched(Schedule):
    """Use the smallest K from which on all physics errors are below `fraction` times the metric.

    The physics error of each K is known in advance. It is the distance of `u^[K]` to the solution, in the units of the
    metric (see `prdp.training.physics_errors`). If no error is small enough, `K = cap`. K stays the same if the metric
    is negative or not finite.

    Args:
        errors: the physics errors of K = 1, 2, ..., at least one; `None` until `resolved` fills them in.
        fraction: the largest admissible ratio of physics error to metric, above 0. If both are squares, 0.01 is a
            tenth of the norm. Too large a fraction sustains itself, because the metric settles on the bias it admits.
        monotone: whether K stays the same, rather than falls, when the metric rises.
        cap: the largest K; `None` for K_epsilon, which `resolved` fills in. Without a value it is the number of errors.
        least: the first and smallest K; the cap if that is smaller.

    Raises:
        ValueError: If an argument is outside its range.

    Source: ours. It applies the paper's argument for incomplete convergence directly (section 2.3: physics that is
    more accurate than the network can be brings no benefit). It needs an error curve, which PRDP does not.
    """

    errors: tuple[float, ...] | None
    fraction: float = 0.01
    monotone: bool = True
    cap: int | None = None
    least: int = 1

    def __post_init__(self) -> None:
        if self.errors is not None:
            check_errors(self.errors)
        within("fraction", self.fraction, lambda x: x > 0, "a number > 0")
        flag("monotone", self.monotone)
        integer("cap", self.cap, 1, LARGEST_K, null=True)
        integer("least", self.least, 1, LARGEST_K)

    @property
    def needs_errors(self) -> bool:
        """Whether the physics errors were left open."""
        return self.errors is None

    def resolved(
        self,
        *,
        converged: int | None = None,
        errors: tuple[float, ...] | None = None,
        **known: Any,
    ) -> "Matched":
        """Return the schedule with the cap K_epsilon and the physics errors, if these were left open."""
        return self.filled(cap=converged, errors=errors)

    def init(self) -> MatchedState:
        """Return the state before the first metric, that of the untrained model."""
        return MatchedState(min(self.least, self.largest_iterations), False)

    def update(self, state: MatchedState, metric: Any) -> tuple[MatchedState, Any]:
        """Return the state after one more metric, and the K to use next."""
        usable = is_finite(metric) & (metric >= 0)
        allowed = self.fraction * choose(usable, metric, 0.0)
        wanted = sufficient(given("errors", self.errors), allowed, self.largest_iterations)
        least = state.iterations if self.monotone else self.init().iterations
        wanted = choose(wanted < least, least, wanted)
        iterations = choose(usable, wanted, state.iterations)
        return MatchedState(iterations, iterations > state.iterations), iterations

    @property
    def largest_iterations(self) -> int:
        """The cap, or the number of errors."""
        return len(given("errors", self.errors)) if self.cap is None else self.cap


def check_errors(errors: Any) -> None:
    """Check that physics errors are a list of numbers that are not negative.

    Raises:
        ValueError: If they are not.
    """
    known = errors if isinstance(errors, Sequence) and not isinstance(errors, str) else ()
    usable = len(known) > 0 and all(is_number(error) and error >= 0 for error in known)
    value = shown(list(known) if known or errors == () else errors)
    require(usable, "errors", value, "a list of numbers >= 0")


def sufficient(errors: Sequence[float], allowed: Any, most: int) -> Any:
    """Return the smallest K from which on all errors are below `allowed`, at most `most`."""
    too_large = sum(choose(error < allowed, 0, 1) for error in largest_from(errors))
    # No error is small enough, and the errors of larger K are unknown.
    wanted = choose(too_large == len(errors), most, too_large + 1)
    return choose(wanted > most, most, wanted)


def largest_from(errors: Sequence[float]) -> list[float]:
    """Return, for each K, the largest error of this and all larger K; it never rises with K."""
    return list(accumulate(reversed(errors), max))[::-1]
