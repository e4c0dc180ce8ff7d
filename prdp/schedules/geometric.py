"""PRDP with a number of iterations that is multiplied."""

from dataclasses import dataclass
from typing import Any

from prdp.schedules.base import choose, floor, require
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
        require(1 < self.growth < float("inf"), "growth", self.growth, "a number > 1")

    def raised(self, iterations: Any, ratio_step: Any) -> Any:
        """Return the larger of `growth K`, rounded up, and `K + increment`."""
        least = iterations + self.increment
        grown = -floor(_SLACK - self.growth * iterations)
        return choose(grown > least, grown, least)
