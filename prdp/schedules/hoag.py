"""Solver tolerances that tighten from interval to interval, as in HOAG."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from prdp.checks import LARGEST_K, integer, require, within
from prdp.schedules.base import Schedule, as_float, choose, given, is_finite, usable

# eps_k / eps_0 in interval k; all sequences are summable.
SEQUENCES: dict[str, Callable[[Any], Any]] = {
    "exponential": lambda k: 0.9**k,
    "quadratic": lambda k: 1.0 / k**2,
    "cubic": lambda k: 1.0 / k**3,
}
_TIGHTENING = 0.5


class HOAGState(NamedTuple):
    """The state of `HOAG`.

    Attributes:
        iterations: the iteration limit of a solve, constant.
        tolerance: relative residual at which a solve stops.
        interval: k of the next interval, 0 before the first metric.
        metric: the last usable metric, infinite before the first.
        refined: whether the last update tightened the tolerance.
    """

    iterations: Any
    tolerance: Any
    interval: Any
    metric: Any
    refined: Any


@dataclass(frozen=True)
class HOAG(Schedule):
    """Prescribe the tolerance `eps_k` of interval k = 1, 2, ..., for primal and adjoint solves alike.

        exponential    eps_k = start 0.9^k
        quadratic      eps_k = start / k^2
        cubic          eps_k = start / k^3
        adaptive       eps_1 = start;  eps_(k+1) = eps_k / 2 if L_k >= sufficient_ratio L_(k-1), else eps_k

    Here `L_k` is the metric after interval k, and `L_0` that of the untrained model. No tolerance is below `smallest`.
    The first three sequences ignore the metric. Without `smallest` their sums are finite (9 start, pi^2/6 start,
    zeta(3) start), which is the condition under which HOAG converges. The adaptive sequence compares a ratio of the
    metric, which must not be negative: `update` raises for a negative number. It ignores a metric that is not finite,
    or that is negative and traced. The cost of a run is not known in advance; the executed iterations are counted.

    The adaptive sequence is our interpretation. The released code has no such sequence. It combines each sequence with
    a safeguard: if the outer objective rises to at least 1.2 times its last value, it reverts the step and halves the
    tolerance. (Its actual sufficient-decrease test needs the step length and a Lipschitz constant, which a schedule
    does not know.) Here halving is the only tightening and no step is reverted, so the ratio has to be stricter: with
    1.2 the tolerance stays at `start` forever once the metric settles on the bias of a loose solve.

    Args:
        iterations: the iteration limit of a solve, at least 1; `None` for K_epsilon, which `resolved` fills in.
        sequence: `exponential`, `quadratic`, `cubic` or `adaptive`.
        start: eps_0, a relative residual between 0 and 1.
        smallest: the smallest tolerance, at least 0.
        sufficient_ratio: for `adaptive`: progress is insufficient if the metric is at least this fraction of the last.

    Raises:
        ValueError: If an argument is outside its range.

    Source: Pedregosa 2016, Hyperparameter optimization with approximate gradient (HOAG); github.com/fabianp/hoag,
    hoag/hoag.py at 9b3c82b, for the halving. Salehi et al. 2024, An adaptively inexact first-order method for bilevel
    optimization, also raise the accuracy if a step does not decrease the objective sufficiently.
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
        """Return the schedule with an iteration limit of K_epsilon if the limit was left open."""
        return self.filled(iterations=converged)

    def init(self) -> HOAGState:
        """Return the state before the first metric, that of the untrained model."""
        return HOAGState(self.largest_iterations, self._floored(self.start), 0, float("inf"), False)

    def update(self, state: HOAGState, metric: Any) -> tuple[HOAGState, Any]:
        """Return the state of the next interval, and the constant iteration limit.

        Raises:
            ValueError: If the sequence is adaptive and the metric is a negative number.
        """
        interval = state.interval + 1
        if self.sequence == "adaptive":
            good = usable(metric)
            metric = choose(good, metric, 0.0)
            insufficient = good & (metric >= self.sufficient_ratio * state.metric)
            tolerance = choose(insufficient, _TIGHTENING * state.tolerance, state.tolerance)
        else:
            tolerance = self.start * SEQUENCES[self.sequence](as_float(interval, like=state.tolerance))
            # The metric has no effect here, but the state must never contain a NaN.
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
        """The iteration limit of a solve."""
        return int(given("iterations", self.iterations))
