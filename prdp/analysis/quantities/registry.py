"""The quantities that claims name, each a function of selected runs."""

from collections.abc import Callable

from prdp.analysis.quantities.errors import (
    accuracy,
    level_sufficient,
    savings_sufficient,
    size_exponent,
    worse_than_untrained,
)
from prdp.analysis.quantities.means import difference, farthest, final_residual, largest, mean, roughness
from prdp.analysis.quantities.poisson import outer_steps, poisson, poisson_advantage
from prdp.analysis.quantities.savings import wall_clock
from prdp.analysis.statistics import Statistic

QUANTITIES: dict[str, Callable[..., Statistic | None]] = {
    f.__name__: f
    for f in (
        mean,
        largest,
        farthest,
        difference,
        roughness,
        accuracy,
        level_sufficient,
        savings_sufficient,
        wall_clock,
        poisson,
        poisson_advantage,
        outer_steps,
        final_residual,
        size_exponent,
        worse_than_untrained,
    )
}
