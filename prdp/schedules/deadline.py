"""PRDP that knows when the training ends: refine late, and be fine at the end."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import LARGEST_K, integer, within
from prdp.schedules.base import as_float, choose, given, rounded_down
from prdp.schedules.matched import check_errors, sufficient
from prdp.schedules.prdp import PRDP, PRDPState

# So that the rounding error of a power never lowers the bound, in float32 or float64.
_SLACK = 1e-3


@dataclass(frozen=True)
class Deadline(PRDP):
    """Refine when `PRDP` would, but no sooner than a bound that grows with time, and match the physics at the end.

    With `t` from 0 in the first interval to 1 in the last:

        K <= iterations + floor((cap - iterations) t^power)     a refinement beyond waits for a later plateau
        K >= the smallest K from which on all physics errors are below `fraction` times the metric
                                                                in the last share `last` of the intervals, at most cap

    The searches of `prdp.suite.oracle` motivate both. The cheapest schedules stay coarse for long, longer than a
    plateau suggests, and need few fine intervals at the end. K never falls.

    Args:
        iterations: see `PRDP`, which also documents the arguments not listed here.
        cap: the largest K; `None` for K_epsilon, which `resolved` fills in. Needs a value.
        intervals: the number of training intervals, at least 1; `None` for the epochs, which `resolved` fills in.
        power: of the bound, above 0. The larger, the later.
        last: the share of the intervals at the end, from 0 (none) to 1.
        errors: the physics errors of K = 1, 2, ... in the units of the metric, see `Matched`; `None` until `resolved`
            fills them in. Without them the last intervals use the cap.
        fraction: the largest admissible ratio of physics error to metric, above 0.

    Raises:
        ValueError: If an argument is outside its range.

    Source: ours.
    """

    intervals: int | None = None
    power: float = 3.0
    last: float = 0.2
    errors: tuple[float, ...] | None = None
    fraction: float = 0.003

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("intervals", self.intervals, 1, LARGEST_K, null=True)
        within("power", self.power, lambda x: x > 0, "a number > 0")
        within("last", self.last, lambda x: 0 <= x <= 1, "0 <= last <= 1")
        within("fraction", self.fraction, lambda x: x > 0, "a number > 0")
        if self.errors is not None:
            check_errors(self.errors)

    @property
    def needs_errors(self) -> bool:
        """Whether the physics errors were left open, and the last intervals need them."""
        return self.errors is None and self.last > 0

    def resolved(
        self,
        *,
        converged: int | None = None,
        epochs: int | None = None,
        errors: tuple[float, ...] | None = None,
        **known: Any,
    ) -> "Deadline":
        """Return the schedule with the cap, the number of intervals and the physics errors, if these were left open."""
        filled: Deadline = super().resolved(converged=converged).filled(intervals=epochs, errors=errors)
        return filled

    def update(self, state: PRDPState, metric: Any) -> tuple[PRDPState, Any]:
        """Return the state after one more metric, and the K to use next.

        Raises:
            ValueError: If the metric is a negative number, or the cap or the number of intervals is unknown.
        """
        new, _ = super().update(state, metric)
        bound, last = self._bound(new), self._is_last(new)
        early = new.iterations > choose(bound < state.iterations, state.iterations, bound)
        new = new._replace(
            iterations=choose(early, state.iterations, new.iterations),
            checkpoint=choose(early, state.checkpoint, new.checkpoint),
            refined=choose(early, False, new.refined),
        )
        known = new.passed_over == state.passed_over
        wanted = choose(known & last, self._matched(choose(known, metric, 0.0)), new.iterations)
        raised = wanted > new.iterations
        iterations = choose(raised, wanted, new.iterations)
        new = new._replace(iterations=iterations, refined=new.refined | raised)
        return new, new.iterations

    def _intervals_so_far(self, state: PRDPState) -> Any:
        # The first metric is that of the untrained model.
        return state.seen + state.passed_over - 1

    def _bound(self, state: PRDPState) -> Any:
        cap, intervals = given("cap", self.cap), given("intervals", self.intervals)
        done = as_float(self._intervals_so_far(state), state.average)
        t = done / max(intervals - 1, 1)
        t = choose(t > 1, 1.0, t)
        return self.iterations + rounded_down(
            (cap - self.iterations) * t**self.power + _SLACK, state.iterations
        )

    def _is_last(self, state: PRDPState) -> Any:
        intervals = given("intervals", self.intervals)
        return self._intervals_so_far(state) >= intervals - round(self.last * intervals)

    def _matched(self, metric: Any) -> Any:
        cap = given("cap", self.cap)
        return cap if self.errors is None else sufficient(self.errors, self.fraction * metric, cap)
