"""PRDP with a number of iterations that is multiplied."""

from dataclasses import dataclass
from typing import Any

from prdp.checks import LARGEST_K, within
from prdp.schedules.base import as_float, choose, rounded_down
from prdp.schedules.prdp import PRDP

# What `ceil` forgives, so that the rounding error of a product (1.1 * 10) raises K nowhere, in float32 as in float64.
_SLACK = 1e-3


@dataclass(frozen=True)
class Geometric(PRDP):
    """Refine when `PRDP` would, but multiply: `K <- min(cap, max(K + increment, ceil(growth K)))`.

    A high K is reached in `log K` plateaus instead of `K / increment`; the price is the overshoot, which `growth`
    bounds: a K that would have been enough is exceeded by less than this factor (or by `increment`).

    Args:
        iterations: see `PRDP`, as the others below.
        increment: the least that is added.
        growth: the factor, above 1.

    Raises:
        ValueError: an argument is outside its range.

    Source: the outlook of the paper (section 6) asks for refinements faster than linear ones; the factor is ours.
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
