"""Tolerances that tighten from interval to interval, as in HOAG."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from prdp.checks import LARGEST_K, integer, require, within
from prdp.schedules.base import Schedule, as_float, choose, given, is_finite, usable

# eps_k / eps_0 in interval k, all summable.
SEQUENCES: dict[str, Callable[[Any], Any]] = {
    "exponential": lambda k: 0.9**k,
    "quadratic": lambda k: 1.0 / k**2,
    "cubic": lambda k: 1.0 / k**3,
}
_TIGHTENING = 0.5


class HOAGState(NamedTuple):
    """The schedule's memory.

    Attributes:
        iterations: the most iterations of a solve, constant.
        tolerance: relative residual at which a system leaves.
        interval: k of the interval to come, 0 before the first metric.
        metric: the last finite metric, infinite where there is none yet.
        refined: whether the last update tightened the tolerance.
    """

    iterations: Any
    tolerance: Any
    interval: Any
    metric: Any
    refined: Any


@dataclass(frozen=True)
class HOAG(Schedule):
    """The tolerances `eps_k` of intervals k = 1, 2, ..., the same for primal and adjoint solves.

        exponential    eps_k = start 0.9^k
        quadratic      eps_k = start / k^2
        cubic          eps_k = start / k^3
        adaptive       eps_1 = start;  eps_(k+1) = eps_k / 2 if L_k >= sufficient_ratio L_(k-1), else eps_k

    with the metric `L_k` after interval k (`L_0` of the untrained model), and no tolerance below `smallest`. The first
    three do not look at the metric; their sums are finite (9 start, pi^2/6 start, zeta(3) start; without
    `smallest`), which is the condition under which HOAG converges. The last takes a ratio of the metric, which must not
    be negative: with a negative number `update` raises. One that is not finite, or negative and traced, it passes over.
    What a run costs is not known beforehand but counted: the iterations executed.

    Adaptive is a reading of ours. The released code has no such sequence, but it tightens beside each: where the outer
    objective rises to 1.2 times the last one or more, it takes the step back and halves the tolerance (its
    sufficient-decrease test proper needs the step length and a Lipschitz constant, which a schedule does not know).
    Here the halving is all that tightens and the step stays, so the ratio has to be stricter: with 1.2 the tolerance
    stays at `start` for good wherever a metric settles on the bias of a loose solve.

    Args:
        iterations: the most iterations of a solve, at least 1; `None` for K_epsilon, which `resolved` fills in.
        sequence: one of the four.
        start: eps_0, between 0 and 1.
        smallest: the last tolerance, at least 0.
        sufficient_ratio: of `adaptive`: a metric that is not below this share of the last one did not decrease
            sufficiently.

    Raises:
        ValueError: an argument is outside its range.

    Source: Pedregosa 2016, Hyperparameter optimization with approximate gradient (HOAG); github.com/fabianp/hoag,
    hoag/hoag.py at 9b3c82b, for the halving. Accuracy that is raised where a step does not decrease the objective
    sufficiently is also what Salehi et al. 2024 do, An adaptively inexact first-order method for bilevel optimization.
    """

    steers_tolerance: ClassVar[bool] = True

    iterations: int | None
    sequence: str = "exponential"
    start: float = 0.1
    smallest: float = 1e-5
    sufficient_ratio: float = 0.95

    def __post_init__(self) -> None:
        names = (*SEQUENCES, "adaptive")
        integer("iterations", self.iterations, 1, LARGEST_K, null=True)
        require(self.sequence in names, "sequence", self.sequence, f"one of {', '.join(names)}")
        within("start", self.start, lambda x: 0 < x < 1, "0 < start < 1")
        within("smallest", self.smallest, lambda x: 0 <= x < 1, "0 <= smallest < 1")
        within("sufficient_ratio", self.sufficient_ratio, lambda x: x > 0, "a number > 0")

    def resolved(self, *, converged: int | None = None, **known: Any) -> "HOAG":
        """Return the schedule with a budget of K_epsilon where it was left open."""
        return self.filled(iterations=converged)

    def init(self) -> HOAGState:
        """Return the state before the first metric, which is that of the untrained model."""
        return HOAGState(self.largest_iterations, self._floored(self.start), 0, float("inf"), False)

    def update(self, state: HOAGState, metric: Any) -> tuple[HOAGState, Any]:
        """Return the state of the next interval, and the budget, which stays.

        Raises:
            ValueError: the sequence is adaptive and the metric a negative number.
        """
        interval = state.interval + 1
        if self.sequence == "adaptive":
            good = usable(metric)
            metric = choose(good, metric, 0.0)
            insufficient = good & (metric >= self.sufficient_ratio * state.metric)
            tolerance = choose(insufficient, _TIGHTENING * state.tolerance, state.tolerance)
        else:
            tolerance = self.start * SEQUENCES[self.sequence](as_float(interval, like=state.tolerance))
            # It does not matter, but what is kept of it is never NaN.
            good = is_finite(metric)
        tolerance = self._floored(tolerance)
        metric = choose(good, metric, state.metric)
        refined = tolerance < state.tolerance
        return HOAGState(
            self.largest_iterations, tolerance, interval, metric, refined
        ), self.largest_iterations

    def _floored(self, tolerance: Any) -> Any:
        return choose(tolerance < self.smallest, self.smallest, tolerance)

    @property
    def largest_iterations(self) -> int:
        """The budget of a solve."""
        return int(given("iterations", self.iterations))
