"""PRDP with an increment that grows with the flatness of the plateau."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import within
from prdp.schedules.base import choose, rounded_down
from prdp.schedules.prdp import PRDP


@dataclass(frozen=True)
class Flatness(PRDP):
    """Refine when `PRDP` would, by more the flatter the plateau is.

        K <- min(cap, K + round(increment (1 + gain (r - tau_step) / (1 - tau_step)))),   r clipped to [tau_step, 1].

    A metric that only just counts as a plateau (`r = tau_step`) adds `increment`, one that has stopped or rises
    (`r >= 1`) adds `(1 + gain) increment`. Halves are rounded up. With `tau_step = 1`, only a rise is a plateau.

    Args:
        iterations: see `PRDP`, as the others below.
        gain: how much more a metric that has stopped adds, at least 0 (which is `PRDP`).

    Raises:
        ValueError: an argument is outside its range.

    Source: the outlook of the paper (section 6) suggests a smoother relation between the plateau ratio r and K, which
    it leaves open; this is the linear one.
    """

    gain: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within("gain", self.gain, lambda x: x >= 0, "a number >= 0")

    def raised(self, iterations: Any, ratio_step: Any) -> Any:
        """Return K plus the increment that suits the plateau ratio r."""
        if self.tau_step == 1:
            flatness: Any = 1.0
        else:
            ratio = choose(ratio_step > self.tau_step, ratio_step, self.tau_step)
            ratio = choose(ratio > 1.0, 1.0, ratio)
            flatness = (ratio - self.tau_step) / (1.0 - self.tau_step)
        return iterations + rounded_down(self.increment * (1.0 + self.gain * flatness) + 0.5, iterations)
