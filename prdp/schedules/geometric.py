"""PRDP with multiplicative refinement."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import LARGEST_K, within
from prdp.schedules.base import as_float, choose, rounded_down
from prdp.schedules.prdp import PRDP

# Tolerance of the `ceil`, so that the rounding error of a product (such as 1.1 * 10) never raises K, in float32 or
# float64.
_SLACK = 1e-3


@dataclass(frozen=True)
class Geometric(PRDP):
    """Refine when `PRDP` would, but multiply K: `K <- min(cap, max(K + increment, ceil(growth K)))`.

    A high K is reached in O(log K) plateaus instead of `K / increment`. The price is overshoot: the final K exceeds a
    sufficient K by less than the factor `growth` (or by less than `increment`).

    Args:
        iterations: see `PRDP`, which also documents the arguments not listed here.
        increment: the smallest increase of K.
        growth: the factor, above 1.

    Raises:
        ValueError: If an argument is outside its range.

    Source: the outlook of the paper (section 6) asks for faster than linear refinement; the factor is our choice.
    """

    growth: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        within("growth", self.growth, lambda x: x > 1, "a number > 1")

    def raised(self, iterations: Any, ratio_step: Any) -> Any:
        """Return the larger of `growth K`, rounded up, and `K + increment`."""
        least = iterations + self.increment
        product = self.growth * as_float(iterations)
        product = choose(product > LARGEST_K, 1.0 * LARGEST_K, product)
        grown = -rounded_down(_SLACK - product, iterations)
        return choose(grown > least, grown, least)
