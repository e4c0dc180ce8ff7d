"""PRDP with an increment that grows with the flatness of the plateau."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import within
from prdp.schedules.base import choose, rounded_down
from prdp.schedules.prdp import PRDP


@dataclass(frozen=True)
class Flatness(PRDP):
    """Refine when `PRDP` would, with a larger increment the flatter the plateau is.

        K <- min(cap, K + round(increment (1 + gain (r - tau_step) / (1 - tau_step)))),   r clipped to [tau_step, 1].

    At the plateau threshold (`r = tau_step`) K grows by `increment`. If the metric has stopped or rises (`r >= 1`), K
    grows by `(1 + gain) increment`. Halves are rounded up. With `tau_step = 1`, only a rising metric is a plateau.

    Args:
        iterations: see `PRDP`, which also documents the arguments not listed here.
        gain: relative increase of the increment once the metric has stopped, at least 0; 0 gives `PRDP`.

    Raises:
        ValueError: If an argument is outside its range.

    Source: the outlook of the paper (section 6) suggests a smoother relation between the plateau ratio r and K, and
    leaves its form open. This is a linear one.
    """

    gain: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within("gain", self.gain, lambda x: x >= 0, "a number >= 0")

    def raised(self, iterations: Any, ratio_step: Any) -> Any:
        """Return K plus the increment for the plateau ratio r."""
        if self.tau_step == 1:
            flatness: Any = 1.0
        else:
            ratio = choose(ratio_step > self.tau_step, ratio_step, self.tau_step)
            ratio = choose(ratio > 1.0, 1.0, ratio)
            flatness = (ratio - self.tau_step) / (1.0 - self.tau_step)
        return iterations + rounded_down(self.increment * (1.0 + self.gain * flatness) + 0.5, iterations)
