"""Progressively refined differentiable physics: the paper's controller."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from prdp.schedules.base import Schedule, choose, is_finite, is_whole, require

_NAN = float("nan")


class PRDPState(NamedTuple):
    """All that the controller remembers.

    Attributes:
        iterations: K to use next.
        checkpoint: c, the smoothed metric of the last plateau that led to a refinement.
        smoothed: the smoothed metric of now.
        recent: the last `grace_window` smoothed metrics, oldest first, NaN where there is none yet.
        seen: finite metrics so far.
        ratio_step: r, NaN until `grace_window + 1` metrics are known.
        ratio_stop: r_c, NaN likewise.
        refined: whether the last update was a decision to refine.
    """

    iterations: Any
    checkpoint: Any
    smoothed: Any
    recent: tuple[Any, ...]
    seen: Any
    ratio_step: Any
    ratio_stop: Any
    refined: Any


@dataclass(frozen=True)
class PRDP(Schedule):
    """Raise K by `increment` when the metric plateaus, unless the last refinement no longer helped.

    With the smoothed metric `L` (exponential moving average, `alpha = 2/(smoothing_window+1)`, started from the
    first metric), after each interval:

        r   = L[-1] / L[-grace_window]        plateau if r > tau_step
        r_c = L[-1] / c                       refine if r_c < tau_stop or r_c > 1; then c <- L[-1]

    A plateau with `tau_stop <= r_c <= 1` keeps K: the refinement is adequate (K_max, the paper's IC savings). No
    plateau keeps K too (PR savings). `r_c > 1` refines because training got worse: K is below the least that
    converges. No decision is taken before `grace_window + 1` metrics are known. A metric that is NaN or
    infinite is passed over.

    Args:
        iterations: K_0, at least 1.
        increment: Delta K, at least 1.
        tau_step: plateau threshold, in `(0, 1]`.
        tau_stop: adequacy threshold, in `(0, 1]`.
        grace_window: delta. `L[-delta]` is `delta - 1` intervals back, so at least 2.
        smoothing_window: Delta e of the moving average; 1 switches it off (as for the paper's Poisson problems).
        checkpoint: the first c. A large value refines at the first plateau.
        cap: the largest K, or `None`.

    Raises:
        ValueError: an argument is outside its range.

    Source: paper, Algorithm 4 and section 3. The paper leaves open what `alpha`, the first `c` and the look-back
    of `delta` are; these readings are the ones that reproduce its numbers.
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
        for key, least in (
            ("iterations", 1),
            ("increment", 1),
            ("grace_window", 2),
            ("smoothing_window", 1),
        ):
            value = getattr(self, key)
            require(is_whole(value) and value >= least, key, value, f"an integer >= {least}")
        for key in ("tau_step", "tau_stop"):
            value = getattr(self, key)
            require(0 < value <= 1, key, value, f"0 < {key} <= 1")
        require(0 < self.checkpoint < float("inf"), "checkpoint", self.checkpoint, "a number > 0")
        require(
            self.cap is None or (is_whole(self.cap) and self.cap >= self.iterations),
            "cap",
            self.cap,
            f"an integer >= iterations ({self.iterations}), or null",
        )

    def init(self) -> PRDPState:
        """Return the state before any metric is known."""
        recent = (_NAN,) * self.grace_window
        return PRDPState(self.iterations, self.checkpoint, _NAN, recent, 0, _NAN, _NAN, False)

    def update(self, state: PRDPState, metric: Any) -> tuple[PRDPState, Any]:
        """Return the state after one more metric, and the K to use next (Algorithm 4)."""
        usable = is_finite(metric)
        alpha = 2.0 / (self.smoothing_window + 1.0)
        averaged = alpha * metric + (1.0 - alpha) * state.smoothed
        smoothed = choose(state.seen == 0, metric, averaged)
        recent = (*state.recent[1:], smoothed)
        seen = state.seen + 1
        ready = seen > self.grace_window

        ratio_step = choose(ready, _divide(smoothed, recent[0]), _NAN)
        ratio_stop = choose(ready, _divide(smoothed, state.checkpoint), _NAN)
        plateau = ratio_step > self.tau_step
        refined = plateau & ((ratio_stop < self.tau_stop) | (ratio_stop > 1.0))

        raised = self.raised(state.iterations, ratio_step)
        if self.cap is not None:
            raised = choose(raised > self.cap, self.cap, raised)
        new = PRDPState(
            iterations=choose(refined, raised, state.iterations),
            checkpoint=choose(refined, smoothed, state.checkpoint),
            smoothed=smoothed,
            recent=recent,
            seen=seen,
            ratio_step=ratio_step,
            ratio_stop=ratio_stop,
            refined=refined,
        )
        passed_over = state._replace(ratio_step=_NAN, ratio_stop=_NAN, refined=False)
        state = _choose_state(usable, new, passed_over)
        return state, state.iterations

    def raised(self, iterations: Any, ratio_step: Any) -> Any:
        """Return what a refinement makes of K, before the cap; `ratio_step` is NaN where no decision is due."""
        return iterations + self.increment

    @property
    def largest_iterations(self) -> int:
        """The cap.

        Raises:
            ValueError: there is no cap.
        """
        if self.cap is None:
            raise ValueError("cap=null: this schedule has no largest K")
        return self.cap


def _divide(a: Any, b: Any) -> Any:
    """Return `a / b`, with `0 / 0 = 1` (a metric that stays at zero is a plateau) and `a / 0` infinite."""
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
