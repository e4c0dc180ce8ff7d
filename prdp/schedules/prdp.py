"""Progressively refined differentiable physics: the paper's controller."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.checks import LARGEST_K, integer, within
from prdp.schedules.base import Schedule, check_cap, choose, given, usable

_NAN = float("nan")
# The longest window; the states hold windows as tuples.
_LONGEST = 10_000


class PRDPState(NamedTuple):
    """The state of `PRDP`. A missing value is stored as zero, so that no scalar is ever NaN.

    Attributes:
        iterations: K to use next.
        checkpoint: c, the smoothed metric of the last plateau that led to a refinement.
        average: the current smoothed metric, 0 before the first.
        recent: the last `grace_window` smoothed metrics, oldest first, 0 for those not yet available.
        seen: the number of usable metrics so far.
        passed_over: the number of unusable metrics so far: NaN, infinite or, if traced, negative.
        decided: whether the last update compared ratios: `grace_window + 1` metrics are known, and the last is usable.
        against_window: r if `decided`, else 0.
        against_checkpoint: r_c if `decided`, else 0.
        refined: whether the last update decided to refine.
    """

    iterations: Any
    checkpoint: Any
    average: Any
    recent: tuple[Any, ...]
    seen: Any
    passed_over: Any
    decided: Any
    against_window: Any
    against_checkpoint: Any
    refined: Any

    @property
    def smoothed(self) -> Any:
        """The current smoothed metric, NaN before the first."""
        return choose(self.seen > 0, self.average, _NAN)

    @property
    def ratio_step(self) -> Any:
        """r, NaN if the last update compared no ratios."""
        return choose(self.decided, self.against_window, _NAN)

    @property
    def ratio_stop(self) -> Any:
        """r_c, NaN if the last update compared no ratios."""
        return choose(self.decided, self.against_checkpoint, _NAN)


@dataclass(frozen=True)
class PRDP(Schedule):
    """Raise K by `increment` when the metric plateaus, until refinement no longer improves the metric.

    With the smoothed metric `L` (exponential moving average, `alpha = 2/(smoothing_window+1)`, started from the
    first metric), after each interval:

        r   = L[-1] / L[-grace_window]        plateau if r > tau_step
        r_c = L[-1] / c                       refine if r_c < tau_stop or r_c > 1; then c <- L[-1]

    A plateau with `tau_stop <= r_c <= 1` keeps K: the refinement is adequate (K_max, the paper's savings through
    incomplete convergence, IC). Without a plateau K stays the same too (savings through progressive refinement, PR).
    `r_c > 1` refines because training got worse: K is below the smallest K with which training converges. The first
    decision is made once `grace_window + 1` metrics are known.

    The metric must not be negative, since ratios of it are compared: `update` raises for a negative number. It ignores
    a metric that is NaN or infinite, and also a negative one under tracing, where it cannot raise. The state counts
    these metrics in `passed_over`.

    Args:
        iterations: K_0, at least 1.
        increment: Delta K, at least 1.
        tau_step: plateau threshold, in `(0, 1]`.
        tau_stop: adequacy threshold, in `(0, 1]`.
        grace_window: delta, in intervals, at least 2, since `L[-delta]` lies `delta - 1` intervals back.
        smoothing_window: Delta e of the moving average, in intervals; 1 switches smoothing off (as for the paper's
            Poisson problems).
        checkpoint: the initial c. A large value refines at the first plateau.
        cap: the largest K; `None` for K_epsilon, which `resolved` fills in. Without a value K has no limit.

    Raises:
        ValueError: If an argument is outside its range.

    Source: paper, Algorithm 4 and section 3. The paper does not specify `alpha`, the initial `c` and the exact
    look-back of `delta`; the choices here reproduce its numbers.
    """

    iterations: int = 1
    increment: int = 1
    tau_step: float = 0.95
    tau_stop: float = 0.9
    grace_window: int = 3
    smoothing_window: int = 6
    checkpoint: float = 100.0
    cap: int | None = None

    def __post_init__(self) -> None:
        integer("iterations", self.iterations, 1, LARGEST_K)
        integer("increment", self.increment, 1, LARGEST_K)
        integer("grace_window", self.grace_window, 2, _LONGEST)
        integer("smoothing_window", self.smoothing_window, 1)
        for key in ("tau_step", "tau_stop"):
            within(key, getattr(self, key), lambda x: 0 < x <= 1, f"0 < {key} <= 1")
        within("checkpoint", self.checkpoint, lambda x: x > 0, "a number > 0")
        check_cap(self.cap, self.iterations, null=True)

    def resolved(self, *, converged: int | None = None, **known: Any) -> "PRDP":
        """Return the schedule with the cap `max(K_epsilon, iterations)` if the cap was left open."""
        return self.filled(cap=None if converged is None else max(converged, self.iterations))

    def init(self) -> PRDPState:
        """Return the state before any metric is known."""
        recent = (0.0,) * self.grace_window
        return PRDPState(self.iterations, self.checkpoint, 0.0, recent, 0, 0, False, 0.0, 0.0, False)

    def update(self, state: PRDPState, metric: Any) -> tuple[PRDPState, Any]:
        """Return the state after one more metric, and the K to use next (Algorithm 4).

        Raises:
            ValueError: If the metric is a negative number.
        """
        good = usable(metric)
        # Keep unusable metrics out of the arithmetic.
        metric = choose(good, metric, 0.0)
        alpha = 2.0 / (self.smoothing_window + 1.0)
        averaged = alpha * metric + (1.0 - alpha) * state.average
        smoothed = choose(state.seen == 0, metric, averaged)
        recent = (*state.recent[1:], smoothed)
        seen = state.seen + 1
        ready = seen > self.grace_window

        ratio_step = choose(ready, _divide(smoothed, recent[0]), 0.0)
        ratio_stop = choose(ready, _divide(smoothed, state.checkpoint), 0.0)
        plateau = ready & (ratio_step > self.tau_step)
        refined = plateau & ((ratio_stop < self.tau_stop) | (ratio_stop > 1.0))

        raised = self.raised(state.iterations, ratio_step)
        raised = choose(raised > self._most, self._most, raised)
        new = PRDPState(
            iterations=choose(refined, raised, state.iterations),
            checkpoint=choose(refined, smoothed, state.checkpoint),
            average=smoothed,
            recent=recent,
            seen=seen,
            passed_over=state.passed_over,
            decided=ready,
            against_window=ratio_step,
            against_checkpoint=ratio_stop,
            refined=refined,
        )
        old = state._replace(
            passed_over=state.passed_over + 1,
            decided=False,
            against_window=0.0,
            against_checkpoint=0.0,
            refined=False,
        )
        state = _choose_state(good, new, old)
        return state, state.iterations

    @property
    def _most(self) -> int:
        return LARGEST_K if self.cap is None else self.cap

    def restored(self, stored: dict[str, Any]) -> PRDPState:
        """Return the state from the JSON of a checkpoint, also from an earlier version whose states had NaN."""
        return super().restored(without_nan(stored))

    def raised(self, iterations: Any, ratio_step: Any) -> Any:
        """Return the refined K before the cap is applied; `ratio_step` is 0 if no decision is due."""
        return iterations + self.increment

    @property
    def largest_iterations(self) -> int:
        """The cap.

        Raises:
            ValueError: If there is no cap.
        """
        return int(given("cap", self.cap))


def without_nan(stored: dict[str, Any]) -> dict[str, Any]:
    """Convert a stored state of an earlier version, in which missing ratios were NaN, to the present form."""
    if "ratio_step" not in stored:
        return stored
    old = dict(stored)
    step, stop, smoothed = (old.pop(key) for key in ("ratio_step", "ratio_stop", "smoothed"))
    decided = step == step
    return {
        **old,
        "average": smoothed if old["seen"] else 0.0,
        "recent": [x if x == x else 0.0 for x in old["recent"]],
        "passed_over": 0,
        "decided": decided,
        "against_window": step if decided else 0.0,
        "against_checkpoint": stop if decided else 0.0,
    }


def _divide(a: Any, b: Any) -> Any:
    """Return `a / b`, with `0 / 0 = 1` (a metric that stays at zero is a plateau) and `a / 0 = inf`."""
    nothing = b == 0
    quotient = a / choose(nothing, 1.0, b)
    at_zero = choose(a == 0, 1.0, float("inf"))
    return choose(nothing, at_zero, quotient)


def _choose_state(condition: Any, new: PRDPState, old: PRDPState) -> PRDPState:
    """Return `new` or `old`, scalar by scalar."""
    scalars = {
        key: choose(condition, getattr(new, key), getattr(old, key))
        for key in PRDPState._fields
        if key != "recent"
    }
    recent = (choose(condition, a, b) for a, b in zip(new.recent, old.recent, strict=True))
    return PRDPState(recent=tuple(recent), **scalars)
